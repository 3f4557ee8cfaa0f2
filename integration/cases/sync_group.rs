//! Sync groups: two addresses that are on one router or the other, never one on each.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::scene::{ELECTION, Lan, Router, VIP};
use crate::lab::check::{Outcome, ensure, ensure_eq, holds_for, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::wire::Capture;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "sync_group.vipd_leads",
        proves: "what ails one member of vipd's group moves every address to keepalived, and back",
        limit: Duration::from_secs(180),
        run: |lab| together(lab, lab.subject(), Kind::Keepalived),
    },
    Case {
        name: "sync_group.keepalived_leads",
        proves: "vipd's group takes every address from a keepalived of which one member fails",
        limit: Duration::from_secs(180),
        run: |lab| together(lab, Kind::Keepalived, lab.subject()),
    },
    Case {
        name: "sync_group.weights",
        proves: "weights of members count with sync_group_tracking_weight only, those of the group \
                 always, as in keepalived",
        limit: Duration::from_secs(120),
        run: weights,
    },
    Case {
        name: "sync_group.reload",
        proves: "a member that joins a running group becomes master without disturbing the others, and \
                 one that leaves stands alone",
        limit: Duration::from_secs(120),
        run: reload,
    },
];

const SECOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const THIRD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 102);

fn instance(number: u8, priority: u8, vip: Ipv4Addr, lines: &str) -> String {
    format!(
        "vrrp_instance V{number} {{\n    interface eth0\n    virtual_router_id {}\n    \
         priority {priority}\n    advert_int 1\n    {lines}\n    \
         virtual_ipaddress {{\n        {vip}\n    }}\n}}\n",
        50 + number
    )
}

/// Two instances in a group, of which the second tracks eth1.
fn pair(priority: u8, tracks: &str, group: &str) -> String {
    format!(
        "vrrp_sync_group G {{\n    group {{\n        V1\n        V2\n    }}\n    {group}\n}}\n{}{}",
        instance(1, priority, VIP, ""),
        instance(2, priority, SECOND, tracks)
    )
}

const TRACK_ETH1: &str = "track_interface {\n        eth1\n    }";

fn eth1(router: &Router) -> Outcome {
    router
        .host
        .ip("link add eth1 type veth peer name peer1\nlink set eth1 up\nlink set peer1 up")
}

/// `owner` has both addresses, `other` none; and so it was all the time: never one on each for longer
/// than the messages take.
fn both_on(owner: &Router, other: &Router) -> Outcome {
    let what = format!("both addresses on {}", owner.name);
    wait_until(what, ELECTION, || {
        let here = owner.host.owns(VIP)? && owner.host.owns(SECOND)?;
        let there = other.host.owns(VIP)? || other.host.owns(SECOND)?;
        Ok(here && !there)
    })
    .map(drop)
}

fn together(lab: &Lab, leader: Kind, follower: Kind) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut a = lan.router("a", 1, leader)?;
    let mut b = lan.router("b", 2, follower)?;
    for router in [&a, &b] {
        eth1(router)?;
    }
    let file = lab.dir().join("ill");
    let group = "track_file {\n        ill\n    }";
    let tracker = format!(
        "track_file ill {{\n    file {}\n    weight 0\n}}\n",
        file.display()
    );
    a.start(&format!("{tracker}{}", pair(150, TRACK_ETH1, group)))?;
    b.start(&pair(100, TRACK_ETH1, ""))?;
    both_on(&a, &b)?;
    // A member of the leader's group loses what it tracks.
    a.host.ip("link set peer1 down")?;
    both_on(&b, &a)?;
    a.host.ip("link set peer1 up")?;
    both_on(&a, &b)?;
    // What the group tracks counts for each.
    fs::write(&file, "1\n")?;
    both_on(&b, &a)?;
    fs::write(&file, "0\n")?;
    both_on(&a, &b)?;
    // A member of the follower that cannot keeps the other back.
    b.host.ip("link set peer1 down")?;
    b.daemon()?.wait_log("Entering FAULT STATE", 1, ELECTION)?;
    a.stop()?;
    holds_for("b claims nothing", Duration::from_secs(5), || {
        Ok(!b.host.owns(VIP)? && !b.host.owns(SECOND)?)
    })?;
    b.host.ip("link set peer1 up")?;
    both_on(&b, &a)
}

fn weights(lab: &Lab) -> Outcome {
    for kind in [Kind::Keepalived, lab.subject()] {
        let lan = Lan::new(lab)?;
        let mut router = lan.router("router", 1, kind)?;
        eth1(&router)?;
        let member = lab.dir().join(format!("member.{}", kind.name()));
        let group = lab.dir().join(format!("group.{}", kind.name()));
        fs::write(&member, "5\n")?;
        fs::write(&group, "3\n")?;
        let trackers = format!(
            "track_file member {{\n    file {}\n    weight 2\n}}\n\
             track_file group {{\n    file {}\n    weight 4\n}}\n",
            member.display(),
            group.display()
        );
        let tracks = "track_file {\n        member\n    }";
        let of_group = "track_file {\n        group\n    }";
        let wire = Capture::at(&router.port)?;
        let start = |weights: &str| {
            let group = format!("{of_group}\n    {weights}");
            format!("{trackers}{}", pair(100, tracks, &group))
        };
        let who = kind.name();
        let newest = |priorities: [u8; 2]| {
            let what = format!("{who} advertises {priorities:?}");
            wait_until(what, ELECTION, || {
                let adverts = wire.adverts();
                let of = |vrid: u8| {
                    let of = adverts.iter().rev().find(|(_, advert)| advert.vrid == vrid);
                    of.map(|(_, advert)| advert.priority)
                };
                Ok([of(51), of(52)] == priorities.map(Some))
            })
        };
        router.start(&start(""))?;
        newest([112, 112])?;
        router
            .daemon()?
            .reload(&start("sync_group_tracking_weight"))?;
        newest([112, 122])?;
        fs::write(&member, "-1\n")?;
        newest([112, 110])?;
        fs::write(&group, "0\n")?;
        newest([100, 98])?;
        router.stop()?;
        drop((router, wire));
        let Lan { net, .. } = lan;
        net.demolish()?;
    }
    Ok(())
}

fn reload(lab: &Lab) -> Outcome {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 1, lab.subject())?;
    let group = |members: &str| {
        format!(
            "vrrp_sync_group G {{\n    group {{\n        {members}\n    }}\n}}\n{}{}{}",
            instance(1, 100, VIP, ""),
            instance(2, 100, SECOND, ""),
            instance(3, 100, THIRD, "track_interface {\n        eth1\n    }")
        )
    };
    eth1(&router)?;
    router.start(&group("V1\n        V2"))?;
    for vip in [VIP, SECOND, THIRD] {
        wait_until(format!("{vip} is there"), ELECTION, || {
            router.host.owns(vip)
        })?;
    }
    let wire = Capture::at(&router.port)?;
    router
        .daemon()?
        .reload(&group("V1\n        V2\n        V3"))?;
    router.daemon()?.wait_log("reloaded", 1, ELECTION)?;
    holds_for("every address stays", Duration::from_secs(4), || {
        Ok(router.host.owns(VIP)? && router.host.owns(SECOND)? && router.host.owns(THIRD)?)
    })?;
    let goodbyes = wire
        .adverts()
        .iter()
        .filter(|(_, advert)| advert.priority == 0)
        .count();
    ensure_eq!(goodbyes, 0, "adverts that say goodbye");
    router.host.ip("link set peer1 down")?;
    wait_until("the new member takes the others along", ELECTION, || {
        Ok(!router.host.owns(VIP)? && !router.host.owns(SECOND)?)
    })?;
    router.daemon()?.reload(&group("V1\n        V2"))?;
    for vip in [VIP, SECOND] {
        wait_until(format!("{vip} is back"), ELECTION, || router.host.owns(vip))?;
    }
    ensure!(!router.host.owns(THIRD)?, "V3 lacks eth1");
    Ok(())
}
