//! A host that has a virtual address and says nothing of it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::daemon::only_vipd;
use super::scene::{Instance, Lan, VIP, wait_owner};
use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::net::Host;
use crate::lab::wire::{Capture, Packet};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[Case {
    name: "probe.silent_holder",
    proves: "a router that claims in silence asks once for each address, claims at once all the same, and \
             names the hardware address of whoever answers; of others it says nothing, and a router \
             that takes over from one it heard does not ask",
    limit: Duration::from_secs(120),
    run: silent_holder,
}];

const LIMIT: Duration = Duration::from_secs(15);
const FREE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x100);
const FREE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x101);

fn mac(host: &Host) -> Outcome<String> {
    let text = host.run(&["ip", "-o", "link", "show", "dev", "eth0"])?;
    let mut words = text.split_whitespace();
    let found = words.find(|word| *word == "link/ether").and(words.next());
    Ok(found.ok_or("eth0 has no hardware address")?.to_owned())
}

/// Requests for an address that claim nothing.
fn asked(wire: &Capture, address: Ipv4Addr) -> usize {
    let asks = |packet: &Packet| match packet {
        Packet::Arp(arp) => arp.is_probe() && arp.target == address,
        _ => false,
    };
    wire.frames().iter().filter(|f| asks(&f.packet)).count()
}

fn config(priority: u8) -> String {
    let excluded = format!("virtual_ipaddress_excluded {{\n        {FREE}\n    }}");
    let v4 = Instance {
        priority,
        lines: &excluded,
        unicast: None,
    }
    .text();
    format!(
        "{v4}\nvrrp_instance V6 {{\n    interface eth0\n    virtual_router_id 52\n    priority {priority}\n    \
         virtual_ipaddress {{\n        fe80::100/64\n        {VIP6}/64\n        {FREE6}/64\n    }}\n}}\n"
    )
}

fn silent_holder(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let silent = lan.net.host("silent")?;
    let addresses = ["192.0.2.50/24", &format!("{VIP}/32"), &format!("{VIP6}/64")];
    lan.net.plug(&silent, "eth0", &lan.segment, &addresses)?;
    let wire = Capture::at(&lan.client_port)?;
    let mut a = lan.router("a", 1, lab.subject())?;
    a.start(&config(150))?;
    wait_owner(&a, &[])?;
    let at = mac(&silent)?;
    for vip in [VIP.to_string(), VIP6.to_string()] {
        let said = format!("another host has {vip}, too: it is at {at} on interface eth0");
        a.daemon()?.wait_log(&said, 1, LIMIT)?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let log = a.daemon()?.log();
    ensure_eq!(
        log.matches("another host has").count(),
        2,
        "warnings in all"
    );
    ensure_eq!((asked(&wire, VIP), asked(&wire, FREE)), (1, 1), "questions");
    let first = |wanted: &dyn Fn(&Packet) -> bool| {
        let frames = wire.frames();
        let found = frames.iter().position(|frame| wanted(&frame.packet));
        found.ok_or("no such packet")
    };
    let advert = first(&|packet| matches!(packet, Packet::Advert(advert) if advert.vrid == 51))?;
    let question = first(&|packet| match packet {
        Packet::Arp(arp) => arp.sender == Ipv4Addr::UNSPECIFIED && arp.target == VIP,
        _ => false,
    })?;
    ensure!(
        advert < question,
        "it asks before it says that it is master"
    );

    // The next one hears a, and takes over in order.
    let mut b = lan.router("b", 2, lab.subject())?;
    b.start(&config(100))?;
    b.daemon()?.wait_log("Entering BACKUP STATE", 2, LIMIT)?;
    a.stop()?;
    wait_owner(&b, &[&a])?;
    wait_until("b has everything", LIMIT, || {
        Ok(b.host.owns(VIP6)? && b.host.owns(FREE)?)
    })?;
    std::thread::sleep(Duration::from_secs(2));
    ensure_eq!(
        (asked(&wire, VIP), asked(&wire, FREE)),
        (1, 1),
        "questions in all"
    );
    ensure_eq!(b.daemon()?.logged("another host has"), 0, "warnings of b");
    Ok(())
}
