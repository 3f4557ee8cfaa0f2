//! Many commands at once, and those that the kernel refuses.

use std::fs;
use std::time::{Duration, Instant};

use caps::{CapSet, Capability};
use vipd::ipvs::{Command, DestinationKey, SyncDaemon, SyncPackets, SyncRole, save};
use vipd::kernel::ipvs::Ipvs;
use vipd::kernel::route::Route;
use vipd::net::{
    AddressCommand, AddressKey, AddressSpec, Cidr, Endpoint, ForwardingMethod, InterfaceIndex,
    Protocol,
};

use super::{endpoint, failure, open, parse, server, spec};
use crate::lab::Lab;
use crate::lab::check::{Failure, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::net::Net;
use crate::lab::process::Run;

pub(super) fn failures(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let mut ipvs = open(&host)?;
    let service = endpoint(Protocol::Tcp, "10.0.0.1", 80)?;
    let other = endpoint(Protocol::Tcp, "10.0.0.9", 80)?;
    let at = |n: u8| -> Outcome<DestinationKey> {
        Ok(DestinationKey(Endpoint::new(
            parse(&format!("10.0.1.{n}"))?,
            80,
        )))
    };
    let nat = server(ForwardingMethod::Masquerading, 1);
    let mut commands = vec![Command::NewService(service, spec("rr")?)];
    for n in 1..=200 {
        commands.push(Command::NewDestination(service, at(n)?, nat));
        if n % 50 == 0 {
            commands.push(Command::NewDestination(service, at(n)?, nat));
        }
    }
    commands.push(Command::NewDestination(other, at(1)?, nat));
    commands.push(Command::DelDestination(service, at(250)?));
    commands.push(Command::NewService(other, spec("nonesuch")?));
    let failed = ipvs.apply(&commands);
    let words: Vec<String> = failed.iter().map(ToString::to_string).collect();
    for (failure, word) in failed.iter().zip(&words) {
        lab.note(format!("{} {word}", failure.index));
        let command = commands.get(failure.index).map(ToString::to_string);
        ensure!(
            command.is_some_and(|c| word.starts_with(&c)),
            "{word}: belongs to another command"
        );
    }
    let expected = [
        (
            51,
            "add destination 10.0.1.50:80 to 10.0.0.1:80/tcp: file exists (EEXIST)",
            true,
        ),
        (
            102,
            "add destination 10.0.1.100:80 to 10.0.0.1:80/tcp: file exists (EEXIST)",
            true,
        ),
        (
            153,
            "add destination 10.0.1.150:80 to 10.0.0.1:80/tcp: file exists (EEXIST)",
            true,
        ),
        (
            204,
            "add destination 10.0.1.200:80 to 10.0.0.1:80/tcp: file exists (EEXIST)",
            true,
        ),
    ];
    for ((index, word, disagreement), failure) in expected.into_iter().zip(&failed) {
        ensure_eq!(failure.index, index, "which command failed");
        ensure_eq!(failure.to_string(), word.to_owned(), "its words");
        ensure_eq!(
            failure.error.is_disagreement(),
            disagreement,
            "how to take it"
        );
    }
    let codes: Vec<_> = failed
        .iter()
        .map(|f| f.error.errno().map(|e| e.0))
        .collect();
    let expected = [libc::EEXIST, libc::EEXIST, libc::EEXIST, libc::EEXIST]
        .into_iter()
        .chain([libc::ESRCH, libc::ENOENT, libc::ENOENT])
        .map(Some)
        .collect::<Vec<_>>();
    ensure_eq!(codes, expected, "error numbers");
    let table = ipvs.table().map_err(failure)?;
    let count = table.get(&service).map(|s| s.destinations.len());
    ensure_eq!(count, Some(200), "destinations that were made all the same");
    Ok(())
}

pub(super) fn sync_daemons(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let lan = net.segment("lan")?;
    net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
    let mut ipvs = open(&host)?;
    ensure!(
        ipvs.sync_daemons().map_err(failure)?.is_empty(),
        "none at first"
    );
    let daemon = SyncDaemon {
        interface: "eth0".parse().map_err(|_| Failure::failed("a name"))?,
        sync_id: 51,
        packets: SyncPackets {
            max_len: Some(1000),
            group: Some([239, 1, 2, 3].into()),
            port: Some(9000),
            ttl: Some(3),
        },
    };
    for role in [SyncRole::Master, SyncRole::Backup] {
        let start = Command::NewDaemon(role, daemon.clone());
        ensure_eq!(ipvs.apply(std::slice::from_ref(&start)), [], "start");
        let there = ipvs.sync_daemons().map_err(failure)?;
        let met = there
            .get(&role)
            .is_some_and(|there| daemon.is_met_by(there));
        ensure!(met, "the daemon as it shows: {there:?}");
        let again: Vec<String> = ipvs
            .apply(&[start])
            .iter()
            .map(ToString::to_string)
            .collect();
        lab.note(format!("{again:?}"));
        ensure_eq!(again.len(), 1, "a second start fails");
    }
    lab.note(
        host.run(&["ipvsadm", "-ln", "--daemon"])?
            .trim()
            .replace('\n', "; "),
    );
    let stop = [
        Command::DelDaemon(SyncRole::Master),
        Command::DelDaemon(SyncRole::Backup),
    ];
    ensure_eq!(ipvs.apply(&stop), [], "stop");
    ensure!(
        ipvs.sync_daemons().map_err(failure)?.is_empty(),
        "none at the end"
    );
    let again = ipvs.apply(&stop);
    ensure_eq!(again.len(), 2, "there is nothing more to stop");
    ensure!(again.iter().all(|f| f.error.is_disagreement()), "{again:?}");
    Ok(())
}

pub(super) fn not_permitted(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let refused = host.within(|| {
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN)
            .map_err(|e| e.to_string())?;
        Ok::<_, String>(Ipvs::open().map(|_| ()).map_err(|e| e.to_string()))
    })?;
    let expected =
        "use IPVS: operation not permitted (EPERM); run as root or with CAP_NET_ADMIN".to_owned();
    ensure_eq!(refused, Ok(Err(expected)), "what opening IPVS says");
    let changed = host.within(|| {
        let mut route = Route::open().map_err(|e| e.to_string())?;
        caps::drop(None, CapSet::Effective, Capability::CAP_NET_ADMIN)
            .map_err(|e| e.to_string())?;
        let interface = InterfaceIndex::new(1).ok_or("no index")?;
        let cidr = Cidr::host([10, 0, 0, 1].into());
        let key = AddressKey::new(interface, cidr);
        let failed = route.apply(&[AddressCommand::Add(key, AddressSpec::default()).into()]);
        Ok::<_, String>(failed.iter().map(ToString::to_string).collect::<Vec<_>>())
    })?;
    let expected = "add address 10.0.0.1/32 to interface 1: operation not permitted (EPERM)";
    ensure_eq!(
        changed,
        Ok(vec![expected.to_owned()]),
        "what adding an address says"
    );
    Ok(())
}

pub(super) fn module_comes_back(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let host = net.host("director")?;
    let mut ipvs = open(&host)?;
    let service = endpoint(Protocol::Tcp, "10.0.0.1", 80)?;
    let make = [Command::NewService(service, spec("rr")?)];
    ensure_eq!(ipvs.apply(&make), [], "the first service");
    host.run(&["ipvsadm", "-C"])?;
    // Namespaces of earlier cases may take a moment to go, and hold it until then.
    wait_until("ip_vs is unloaded", Duration::from_secs(20), || {
        host.sh(
            "for m in $(cut -d' ' -f1 /proc/modules | grep '^ip_vs_'); do modprobe -r $m; done; \
             modprobe -r ip_vs",
        )?;
        Ok(!fs::read_to_string("/proc/modules")?.contains("ip_vs"))
    })?;
    let lost = ipvs.apply(&make);
    ensure!(
        lost.len() == 1 && lost.iter().all(|f| f.error.is_disagreement()),
        "{lost:?}"
    );
    ensure!(
        ipvs.table().map_err(failure)?.is_empty(),
        "a new table is empty"
    );
    ensure_eq!(ipvs.apply(&make), [], "the service, again");
    ensure_eq!(ipvs.table().map_err(failure)?.len(), 1, "services");
    Ok(())
}

pub(super) fn thousand_services(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let (ours, theirs) = (net.host("ours")?, net.host("theirs")?);
    let mut commands = Vec::new();
    for n in 0..1000u16 {
        let key = endpoint(Protocol::Tcp, "10.1.0.1", 10_000 + n)?;
        commands.push(Command::NewService(key, spec("wlc")?));
        for number in 1..=4u8 {
            let at = DestinationKey(Endpoint::new(parse(&format!("10.2.0.{number}"))?, 80));
            let spec = server(ForwardingMethod::Masquerading, u32::from(number));
            commands.push(Command::NewDestination(key, at, spec));
        }
    }
    let mut ipvs = open(&ours)?;
    let begun = Instant::now();
    ensure_eq!(ipvs.apply(&commands), [], "failures");
    let batched = begun.elapsed();
    let begun = Instant::now();
    let table = ipvs.table().map_err(failure)?;
    let read = begun.elapsed();
    let mut singly = open(&theirs)?;
    let begun = Instant::now();
    for command in &commands {
        ensure_eq!(
            singly.apply(std::slice::from_ref(command)),
            [],
            "failures one by one"
        );
    }
    let one_by_one = begun.elapsed();
    theirs.run(&["ipvsadm", "-C"])?;
    let text = save(&table);
    let restorer = net.host("restorer")?;
    let begun = Instant::now();
    restorer.run_with(&Run {
        argv: &["ipvsadm", "-R"],
        stdin: &text,
        limit: Duration::from_secs(60),
    })?;
    let restored = begun.elapsed();
    ensure_eq!(
        restorer.run(&["ipvsadm", "-Sn"])?.lines().count(),
        5000,
        "lines of ipvsadm"
    );
    ensure_eq!(
        open(&restorer)?.table().map_err(failure)?,
        table,
        "ipvsadm's table and ours"
    );
    lab.note(format!(
        "5000 commands: {batched:.1?} in batches, {one_by_one:.1?} one by one, {restored:.1?} by \
         ipvsadm -R; read back in {read:.1?}"
    ));
    Ok(())
}
