//! How fast a new master announces its addresses, and how it keeps switches from forgetting them.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::scene::{ELECTION, Instance, Lan, VIP, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "garp.interval",
        proves: "garp_interval stands between any two announcements of an interface, in both daemons",
        limit: Duration::from_secs(120),
        run: interval,
    },
    Case {
        name: "garp.extra_if",
        proves: "garp_extra_if announces addresses on other interfaces every so many seconds",
        limit: Duration::from_secs(60),
        run: extra_if,
    },
];

/// A tick of the guest is 10 ms: what is 200 ms apart may be seen 190 ms apart.
const INTERVAL: Duration = Duration::from_millis(200);
const TICK: Duration = Duration::from_millis(10);

fn interval(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        let wire = Capture::at(&lan.client_port)?;
        let instance = Instance {
            priority: 100,
            lines: "garp_master_delay 0\n    garp_master_repeat 2\n    \
                    virtual_ipaddress_excluded {\n        192.0.2.101\n        192.0.2.102\n    }",
            unicast: None,
        };
        let group = "garp_group {\n    garp_interval 0.2\n    interface eth0\n}\n";
        router.start(&format!("{group}{}", instance.text()))?;
        wait_owner(&router, &[])?;
        let vips = [100, 101, 102].map(|last| Ipv4Addr::new(192, 0, 2, last));
        let told = || Ok(vips.iter().all(|vip| !wire.gratuitous(*vip).is_empty()));
        wait_until("every address is announced", ELECTION, told)?;
        std::thread::sleep(Duration::from_secs(2));
        let mut at: Vec<Duration> = vips
            .iter()
            .flat_map(|vip| wire.gratuitous(*vip))
            .map(|frame| frame.at)
            .collect();
        at.sort();
        let apart: Vec<Duration> = at.windows(2).map(|two| two[1] - two[0]).collect();
        lab.note(format!("{}: {apart:.2?} apart", kind.name()));
        ensure!(
            apart.iter().all(|gap| *gap + TICK >= INTERVAL),
            "{}: announcements came {apart:?} apart",
            kind.name()
        );
        if kind == Kind::Vipd {
            ensure_eq!(at.len(), 6, "announcements: two of each address");
        }
        router.stop()?;
        lan.net.demolish()?;
    }
    Ok(())
}

fn extra_if(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let other = lan.net.segment("other")?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let port = lan
        .net
        .plug(&router.host, "eth1", &other, &["198.51.100.1/24"])?;
    let elsewhere = Ipv4Addr::new(198, 51, 100, 100);
    let (here, there) = (Capture::at(&lan.client_port)?, Capture::at(&port)?);
    let instance = Instance {
        priority: 100,
        lines: "garp_master_delay 0\n    garp_master_repeat 1\n    garp_extra_if all 2\n    \
                virtual_ipaddress_excluded {\n        198.51.100.100 dev eth1\n    }",
        unicast: None,
    };
    router.start(&instance.text())?;
    wait_owner(&router, &[])?;
    let three = || Ok(there.gratuitous(elsewhere).len() >= 3);
    wait_until("three announcements there", Duration::from_secs(10), three)?;
    let at: Vec<Duration> = there.gratuitous(elsewhere).iter().map(|f| f.at).collect();
    let apart: Vec<Duration> = at.windows(2).map(|two| two[1] - two[0]).collect();
    let every = Duration::from_millis(1900)..Duration::from_millis(2600);
    ensure!(
        apart.iter().all(|gap| every.contains(gap)),
        "{apart:?} apart"
    );
    ensure_eq!(
        here.gratuitous(VIP).len(),
        1,
        "announcements where adverts leave"
    );
    let adverts = there.frames();
    let strange = |packet: &Packet| matches!(packet, Packet::Advert(_));
    ensure!(
        !adverts.iter().any(|f| strange(&f.packet)),
        "an advert left there"
    );
    Ok(())
}
