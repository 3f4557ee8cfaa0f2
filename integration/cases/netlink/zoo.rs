//! Every kind of service and server that the messages can express.

use std::time::Duration;

use vipd::ipvs::{
    Command, DestinationKey, DestinationSpec, Persistence, ServiceFlags, ServiceKey, ServiceSpec,
    TunnelChecksum, TunnelKind,
};
use vipd::net::{Endpoint, Family, ForwardingMethod, FwMark, Protocol, Scheduler};

use super::{endpoint, parse, spec};
use crate::lab::check::{Failure, Outcome};

/// Every service and destination that the layer can express, most of them once.
pub(super) fn zoo() -> Outcome<Vec<Command>> {
    let mut commands = Vec::new();
    for (n, name) in Scheduler::KNOWN.iter().enumerate() {
        if *name == "twos" {
            continue; // The guest's kernel is built without it.
        }
        let key = endpoint(Protocol::Tcp, &format!("192.0.2.{}", n + 1), 80)?;
        commands.push(Command::NewService(key, spec(name)?));
    }
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        for addr in [
            "198.51.100.9",
            "198.51.100.10",
            "2001:db8::9",
            "2001:db8:1::1",
        ] {
            let key = endpoint(protocol, addr, 8080)?;
            commands.push(Command::NewService(key, spec("wrr")?));
            let near = if key.family() == Family::V4 {
                "10.0.0."
            } else {
                "fd00::"
            };
            servers(&mut commands, key, near)?;
        }
    }
    flags(&mut commands)?;
    persistence(&mut commands)?;
    Ok(commands)
}

fn servers(commands: &mut Vec<Command>, key: ServiceKey, near: &str) -> Outcome {
    let checksums = [
        TunnelChecksum::Off,
        TunnelChecksum::On,
        TunnelChecksum::Remote,
    ];
    let mut kinds = vec![
        (ForwardingMethod::Masquerading, TunnelKind::Ipip),
        (ForwardingMethod::DirectRoute, TunnelKind::Ipip),
        (ForwardingMethod::Tunnel, TunnelKind::Ipip),
        (ForwardingMethod::Local, TunnelKind::Ipip),
    ];
    for checksum in checksums {
        kinds.push((
            ForwardingMethod::Tunnel,
            TunnelKind::Gue {
                port: 6080,
                checksum,
            },
        ));
    }
    for checksum in [TunnelChecksum::Off, TunnelChecksum::On] {
        kinds.push((ForwardingMethod::Tunnel, TunnelKind::Gre { checksum }));
    }
    for (n, (forwarding, tunnel)) in kinds.into_iter().enumerate() {
        let weight = u32::try_from(n).unwrap_or(0);
        let spec = DestinationSpec {
            forwarding,
            weight,
            upper_threshold: if n % 2 == 0 { 100 } else { 0 },
            lower_threshold: if n % 4 == 0 { 10 } else { 0 },
            tunnel,
        };
        // Not in order, so that order is something to get right.
        let host = (n * 7) % 10 + 1;
        let at = DestinationKey(Endpoint::new(parse(&format!("{near}{host}"))?, 8080));
        commands.push(Command::NewDestination(key, at, spec));
    }
    Ok(())
}

fn flags(commands: &mut Vec<Command>) -> Outcome {
    for (n, scheduler) in ["sh", "mh", "rr"].iter().enumerate() {
        for bits in 1..8u16 {
            let key = endpoint(Protocol::Tcp, &format!("203.0.113.{}", n + 1), 1000 + bits)?;
            let mut spec = spec(scheduler)?;
            spec.flags = ServiceFlags {
                one_packet: false,
                sched_1: bits & 1 != 0,
                sched_2: bits & 2 != 0,
                sched_3: bits & 4 != 0,
            };
            commands.push(Command::NewService(key, spec));
        }
    }
    let mut one_packet = spec("rr")?;
    one_packet.flags.one_packet = true;
    one_packet.flags.sched_2 = true;
    let key = endpoint(Protocol::Udp, "203.0.113.200", 53)?;
    commands.push(Command::NewService(key, one_packet));
    Ok(())
}

fn persistence(commands: &mut Vec<Command>) -> Outcome {
    let persistent = |timeout, granularity, engine: Option<&str>| Persistence {
        timeout: Duration::from_secs(timeout),
        granularity,
        engine: engine.map(str::to_owned),
    };
    for (n, p) in [
        persistent(50, 32, None),
        persistent(360, 24, None),
        persistent(1, 1, None),
        persistent(2_678_400, 0, None),
    ]
    .into_iter()
    .enumerate()
    {
        let key = endpoint(Protocol::Tcp, &format!("203.0.113.{}", 100 + n), 0)?;
        let persistence = Some(p);
        commands.push(Command::NewService(
            key,
            ServiceSpec {
                persistence,
                ..spec("lc")?
            },
        ));
    }
    for (n, p) in [persistent(300, 128, None), persistent(300, 64, None)]
        .into_iter()
        .enumerate()
    {
        let key = endpoint(Protocol::Tcp, &format!("2001:db8:2::{}", 100 + n), 443)?;
        let persistence = Some(p);
        commands.push(Command::NewService(
            key,
            ServiceSpec {
                persistence,
                ..spec("lc")?
            },
        ));
    }
    let key = endpoint(Protocol::Udp, "203.0.113.110", 5060)?;
    let mut sip = ServiceSpec {
        persistence: Some(persistent(60, 32, Some("sip"))),
        ..spec("rr")?
    };
    sip.flags.one_packet = true;
    commands.push(Command::NewService(key, sip));
    for (mark, family) in [
        (7, Family::V4),
        (7, Family::V6),
        (3, Family::V4),
        (70_000, Family::V4),
    ] {
        let mark = FwMark::new(mark).ok_or_else(|| Failure::failed("a mark"))?;
        let key = ServiceKey::FwMark { family, mark };
        let mut service = spec("sed")?;
        if mark.get() == 3 {
            service.persistence = Some(persistent(20, 32, None));
        }
        commands.push(Command::NewService(key, service));
        let near = if family == Family::V4 {
            "10.0.1."
        } else {
            "fd01::"
        };
        servers(commands, key, near)?;
    }
    Ok(())
}
