//! A second kernel for tests: it takes commands one by one, refuses what the real one refuses, and says
//! what it holds in words like those of `ipvsadm -Sn`.

use std::fmt::Write as _;

use crate::ipvs::{Command, DestinationSpec, Destinations, Service, ServiceKey, Timeouts};
use crate::net::ForwardingMethod;

use super::Observation;

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Exists,
    NoEntry,
    NoService,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeKernel {
    pub(crate) now: Observation,
    /// Addresses of the machine itself: destinations there come out as Local.
    pub(crate) own_addresses: Vec<std::net::IpAddr>,
    pub(crate) writes: usize,
}

impl FakeKernel {
    pub(crate) fn run(&mut self, command: &Command) -> Result<(), Refusal> {
        self.writes += 1;
        let table = &mut self.now.table;
        match command {
            Command::NewService(key, spec) => {
                if table.contains_key(key) {
                    return Err(Refusal::Exists);
                }
                let spec = spec.clone();
                let destinations = Destinations::default();
                table.insert(*key, Service { spec, destinations });
            }
            Command::SetService(key, spec) => {
                table.get_mut(key).ok_or(Refusal::NoService)?.spec = spec.clone();
            }
            Command::DelService(key) => {
                table.remove(key).ok_or(Refusal::NoService)?;
            }
            Command::NewDestination(key, d, spec) => {
                let service = table.get_mut(key).ok_or(Refusal::NoService)?;
                if service.destinations.contains_key(d) {
                    return Err(Refusal::Exists);
                }
                let spec = stored(spec, self.own_addresses.contains(&d.0.addr));
                service.destinations.insert(*d, spec);
            }
            Command::SetDestination(key, d, spec) => {
                let service = table.get_mut(key).ok_or(Refusal::NoService)?;
                let old = service.destinations.get_mut(d).ok_or(Refusal::NoEntry)?;
                *old = stored(spec, self.own_addresses.contains(&d.0.addr));
            }
            Command::DelDestination(key, d) => {
                let service = table.get_mut(key).ok_or(Refusal::NoService)?;
                service.destinations.remove(d).ok_or(Refusal::NoEntry)?;
            }
            Command::NewDaemon(role, daemon) => {
                if self.now.daemons.contains_key(role) {
                    return Err(Refusal::Exists);
                }
                self.now.daemons.insert(*role, daemon.clone());
            }
            Command::DelDaemon(role) => {
                self.now.daemons.remove(role).ok_or(Refusal::NoService)?;
            }
            Command::SetTimeouts(_) => self.now.apply(command),
        }
        Ok(())
    }

    /// Whether a service has a destination that takes connections.
    pub(crate) fn serves(&self, key: &ServiceKey) -> bool {
        let service = self.now.table.get(key);
        service.is_some_and(|s| s.destinations.values().any(|d| d.weight > 0))
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (key, service) in &self.now.table {
            let _ = write!(text, "-A {key} -s {}", service.spec.scheduler);
            if let Some(p) = &service.spec.persistence {
                let _ = write!(text, " -p {}", p.timeout.as_secs());
            }
            text.push('\n');
            for (d, spec) in &service.destinations {
                let _ = writeln!(
                    text,
                    "-a {key} -r {d} {} -w {}",
                    method(spec.forwarding),
                    spec.weight
                );
            }
        }
        for (role, daemon) in &self.now.daemons {
            let _ = writeln!(
                text,
                "--start-daemon {role:?} {} {}",
                daemon.interface, daemon.sync_id
            );
        }
        if self.now.timeouts != Timeouts::default() {
            let Timeouts { tcp, tcp_fin, udp } = self.now.timeouts;
            let _ = writeln!(text, "--set {tcp:?} {tcp_fin:?} {udp:?}");
        }
        text
    }
}

fn stored(spec: &DestinationSpec, own_address: bool) -> DestinationSpec {
    let mut spec = *spec;
    if own_address {
        spec.forwarding = ForwardingMethod::Local;
    }
    spec
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Masquerading => "-m",
        ForwardingMethod::Tunnel => "-i",
        ForwardingMethod::DirectRoute => "-g",
        ForwardingMethod::Local => "-l",
    }
}
