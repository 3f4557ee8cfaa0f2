//! The table as it is written, read and printed.

use std::time::Duration;

use vipd::ipvs::{Command, DestinationKey, save, save_complete};
use vipd::kernel::ipvs::Ipvs;
use vipd::net::{Endpoint, ForwardingMethod, Protocol};

use super::zoo::zoo;
use super::{endpoint, failure, open, parse, server, spec};
use crate::lab::Lab;
use crate::lab::check::{Outcome, ensure, ensure_eq};
use crate::lab::net::Net;
use crate::lab::process::Run;

pub(super) fn every_kind(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let mut ipvs = open(&host)?;
    let commands = zoo()?;
    let failed: Vec<String> = ipvs
        .apply(&commands)
        .iter()
        .map(ToString::to_string)
        .collect();
    ensure_eq!(failed, Vec::<String>::new(), "commands that failed");
    let snapshot = ipvs.snapshot().map_err(failure)?;
    ensure_eq!(snapshot.unread, [], "objects that were not understood");
    let mut written = 0;
    for command in &commands {
        match command {
            Command::NewService(key, spec) => {
                let there = snapshot.table.get(key).map(|s| &s.spec);
                ensure_eq!(there, Some(spec), "service {key}");
                written += 1;
            }
            Command::NewDestination(key, at, spec) => {
                let service = snapshot.table.get(key);
                let there = service.and_then(|s| s.destinations.get(at));
                ensure_eq!(there, Some(spec), "destination {at} of {key}");
            }
            _ => {}
        }
    }
    ensure_eq!(snapshot.table.len(), written, "number of services");
    let theirs = host.run(&["ipvsadm", "-Sn"])?;
    let ours = save(&snapshot.table);
    for (their, our) in theirs.lines().zip(ours.lines()) {
        ensure_eq!(our, their, "a line of ipvsadm -Sn");
    }
    ensure_eq!(
        ours.lines().count(),
        theirs.lines().count(),
        "number of lines"
    );
    lab.note(format!(
        "{written} services, {} lines alike",
        ours.lines().count()
    ));
    let restorer = net.host("restorer")?;
    restorer.run_with(&Run {
        argv: &["ipvsadm", "-R"],
        stdin: &save_complete(&snapshot.table),
        limit: Duration::from_secs(60),
    })?;
    let restored = open(&restorer)?.table().map_err(failure)?;
    let (restored, wanted) = (save_complete(&restored), save_complete(&snapshot.table));
    for (restored, wanted) in restored.lines().zip(wanted.lines()) {
        ensure_eq!(restored, wanted, "a line of what ipvsadm -R restored");
    }
    changes(&mut ipvs, &commands)
}

/// Services and destinations can be changed to anything and taken away one by one.
fn changes(ipvs: &mut Ipvs, commands: &[Command]) -> Outcome {
    let plain = spec("rr")?;
    let quiet = server(ForwardingMethod::Masquerading, 0);
    let set: Vec<Command> = commands
        .iter()
        .map(|command| match command {
            Command::NewService(key, _) => Command::SetService(*key, plain.clone()),
            Command::NewDestination(key, at, _) => Command::SetDestination(*key, *at, quiet),
            other => other.clone(),
        })
        .collect();
    let failed: Vec<String> = ipvs.apply(&set).iter().map(ToString::to_string).collect();
    ensure_eq!(failed, Vec::<String>::new(), "changes that failed");
    for (key, service) in ipvs.table().map_err(failure)? {
        // The engine of persistence goes with the persistence.
        ensure_eq!(
            service.spec,
            plain.clone(),
            "service {key} after the change"
        );
        for (&at, &spec) in &service.destinations {
            ensure_eq!(spec, quiet, "destination {at} of {key} after the change");
        }
    }
    let gone: Vec<Command> = commands
        .iter()
        .rev()
        .filter_map(|command| match command {
            Command::NewService(key, _) => Some(Command::DelService(*key)),
            Command::NewDestination(key, at, _) => Some(Command::DelDestination(*key, *at)),
            _ => None,
        })
        .collect();
    let failed: Vec<String> = ipvs.apply(&gone).iter().map(ToString::to_string).collect();
    ensure_eq!(failed, Vec::<String>::new(), "deletions that failed");
    ensure!(
        ipvs.table().map_err(failure)?.is_empty(),
        "something is left"
    );
    Ok(())
}

pub(super) fn local_server(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let mut ipvs = open(&host)?;
    let service = endpoint(Protocol::Tcp, "192.0.2.200", 80)?;
    let mut commands = vec![Command::NewService(service, spec("rr")?)];
    let methods = [
        ForwardingMethod::Masquerading,
        ForwardingMethod::DirectRoute,
        ForwardingMethod::Tunnel,
    ];
    for (forwarding, addr) in methods
        .into_iter()
        .zip(["192.0.2.1", "127.0.0.1", "127.0.0.2"])
    {
        let at = DestinationKey(Endpoint::new(parse(addr)?, 80));
        commands.push(Command::NewDestination(service, at, server(forwarding, 1)));
    }
    ensure_eq!(ipvs.apply(&commands), [], "failures");
    let there = ipvs.destinations(service).map_err(failure)?;
    ensure_eq!(there.len(), methods.len(), "servers");
    for command in &commands {
        if let Command::NewDestination(_, at, spec) = command {
            let found = there.iter().find(|d| d.key == *at).map(|d| d.spec);
            ensure_eq!(found, Some(*spec), "server {at}");
        }
    }
    Ok(())
}
