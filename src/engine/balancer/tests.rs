use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::model::{
    Checker, CheckerKind, ConnectOptions, Globals, RealServer, SchedulerSpec, Shared, Tunnel,
    VirtualServer, VirtualServerAddress,
};
use crate::health::{CheckOutcome, ProbeId};
use crate::ipvs::{Command, DestinationKey, DestinationSpec, ServiceKey};
use crate::lvs::Owned;
use crate::lvs::fake::FakeKernel;
use crate::net::{Endpoint, ForwardingMethod, Protocol, Scheduler};
use crate::notice::{Alert, Alerts};
use crate::time::Time;

use super::{
    Action, Balancer, Failure, FailureKind, Input, Override, Scope, Set, StopKind,
    overrides::Kind as OrderKind,
};

mod converge;
mod faults;
mod going;
mod groups;
mod notices;
mod overrides;
mod quorum;
mod rehearsal;
mod reload;
mod returning;
mod sessions;
mod start_stop;
mod sync;
mod writers;

/// A balancer on a fake kernel, which answers at once, and checks that the test answers.
struct Rig {
    balancer: Balancer,
    kernel: FakeKernel,
    now: Time,
    /// Commands whose words contain this are refused, with this kind of failure.
    refuse: Option<(&'static str, FailureKind)>,
    /// Commands whose words contain this are carried out, and the answer is lost.
    lose: Option<&'static str>,
    /// Services of a pool with one writer, and who has written, one after the other.
    watched: Vec<ServiceKey>,
    written: Vec<Endpoint>,
    /// Reading the table fails.
    blind: bool,
    /// Checks that run.
    running: BTreeMap<ProbeId, Endpoint>,
    /// Actions but for checks, and commands with their results, as text.
    log: Vec<String>,
    /// What FIFOs are told.
    told: Vec<String>,
    alerts: Alerts,
    mails: Vec<Alert>,
}

impl Rig {
    fn new(config: &Config) -> Rig {
        Rig::on(FakeKernel::default(), config, Owned::default())
    }

    fn on(kernel: FakeKernel, config: &Config, record: Owned) -> Rig {
        Rig {
            balancer: Balancer::new(config.clone(), record, 1),
            kernel,
            now: Time::from_millis(1_000_000),
            refuse: None,
            lose: None,
            watched: Vec::new(),
            written: Vec::new(),
            blind: false,
            running: BTreeMap::new(),
            log: Vec::new(),
            told: Vec::new(),
            alerts: Alerts::default(),
            mails: Vec::new(),
        }
    }

    fn started(config: &Config) -> Rig {
        let mut rig = Rig::new(config);
        rig.input(Input::Started);
        rig.log.clear();
        rig
    }

    /// Hands the input in, and all answers to what follows from it.
    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        for _ in 0..20 {
            let Some(input) = inputs.pop() else { return };
            for action in self.balancer.handle(input, self.now) {
                inputs.extend(self.act(action));
            }
        }
        panic!("it never comes to rest: {:?}", self.log);
    }

    fn act(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::StartCheck { probe, question } => {
                let whom = question.kind().destination().unwrap();
                let twice = self.running.insert(probe, whom);
                assert_eq!(twice, None, "{probe} runs already");
                None
            }
            Action::CancelCheck { probe } => {
                assert!(self.running.remove(&probe).is_some());
                None
            }
            Action::Observe => {
                self.log.push("observe".to_owned());
                Some(Input::Observed(if self.blind {
                    Err("list services: no".to_owned())
                } else {
                    Ok(self.kernel.now.clone())
                }))
            }
            Action::Apply(commands) => {
                assert!(!commands.is_empty());
                let results = commands.iter().enumerate().map(|(i, c)| self.run(i, c));
                Some(Input::Applied(results.flatten().collect()))
            }
            Action::Owned(owned) => {
                let keys: Vec<String> = owned.services.keys().map(ToString::to_string).collect();
                self.log.push(format!("owned {}", keys.join(" ")));
                None
            }
            Action::Overrides(all) => {
                let all = all.keys().map(|(kind, scope)| format!(" {kind:?} {scope}"));
                self.say(format!("overrides{}", all.collect::<String>()))
            }
            Action::Ready => self.say("ready".to_owned()),
            Action::Stopped => self.say("stopped".to_owned()),
            Action::Event(event) if !event.is_told() => None,
            Action::Notice(notice) => {
                let line = notice.line();
                self.told
                    .extend(line.map(|line| line.trim_end().to_owned()));
                self.mails
                    .extend(self.alerts.of(&notice, &Globals::default()));
                None
            }
            Action::Event(event) => self.say(format!("{:?}: {event}", event.severity())),
        }
    }

    fn say(&mut self, line: String) -> Option<Input> {
        self.log.push(line);
        None
    }

    fn run(&mut self, index: usize, command: &Command) -> Option<Failure> {
        let words = command.to_string();
        let refused = self.refuse.filter(|(part, _)| words.contains(part));
        let (kind, error) = match refused {
            Some((_, kind)) => (kind, format!("{words}: no")),
            None => match self.kernel.run(command) {
                Ok(()) => {
                    self.watch(&words);
                    let lost = self.lose.is_some_and(|part| words.contains(part));
                    if !lost {
                        self.log.push(words);
                        return None;
                    }
                    (FailureKind::Stale, format!("{words}: no answer"))
                }
                Err(refusal) => (FailureKind::Stale, format!("{words}: {refusal:?}")),
            },
        };
        self.log.push(format!("failed: {words}"));
        Some(Failure { index, kind, error })
    }

    /// Lets time pass, timer by timer; every check that starts is answered at once.
    fn pass(&mut self, millis: u64, answer: impl Fn(Endpoint) -> bool) {
        let end = self.now + Duration::from_millis(millis);
        for _ in 0..100_000 {
            let Some((due, _)) = self.balancer.next_deadline().filter(|(t, _)| *t <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.input(Input::Timer);
            while let Some((probe, endpoint)) = self.running.pop_first() {
                let outcome = if answer(endpoint) {
                    CheckOutcome::Passed
                } else {
                    CheckOutcome::Failed("connection refused".to_owned())
                };
                self.input(Input::CheckFinished { probe, outcome });
            }
        }
        panic!("timers without end at {}", self.now);
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// What somebody does with ipvsadm.
    fn by_hand(&mut self, command: Command) {
        self.kernel.run(&command).unwrap();
    }
}

fn scope(server: &str) -> Scope {
    Scope::Server(server.parse().unwrap())
}

/// Ann's, without an end.
fn order(set: Set) -> Override {
    Override {
        set,
        by: "ann".to_owned(),
        reason: None,
        since: 1_700_000_000,
        until: None,
    }
}

fn drain(server: &str, grace: Option<Duration>) -> Input {
    Input::Override(scope(server), order(Set::Drain(grace)))
}

fn undrain(server: &str) -> Input {
    Input::Lift(OrderKind::Drain, scope(server), "ann".to_owned())
}

fn endpoint(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().unwrap();
    Endpoint::new(address.ip(), address.port())
}

fn key(text: &str) -> ServiceKey {
    ServiceKey::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: endpoint(text),
    }
}

fn server(text: &str) -> DestinationKey {
    DestinationKey(endpoint(text))
}

fn tcp_check(destination: Endpoint) -> Checker {
    Checker {
        kind: CheckerKind::Tcp(ConnectOptions {
            destination,
            bind_to: None,
            bind_port: 0,
            bind_if: None,
            mark: None,
            connect_timeout: Duration::from_secs(5),
        }),
        delay_loop: Duration::from_secs(10),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        warmup: Duration::ZERO,
        alpha: false,
        log_all_failures: false,
    }
}

fn real(text: &str, weight: u32) -> RealServer {
    RealServer {
        endpoint: endpoint(text),
        weight,
        forwarding: ForwardingMethod::Masquerading,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        alpha: false,
        checkers: vec![tcp_check(endpoint(text)).into()],
        tunnel: Tunnel::default(),
        connections: None,
        more: Shared::default(),
    }
}

fn virtual_server(text: &str, real_servers: Vec<RealServer>) -> VirtualServer {
    VirtualServer {
        address: VirtualServerAddress::Endpoint {
            protocol: Protocol::Tcp,
            endpoint: endpoint(text),
        },
        scheduler: SchedulerSpec {
            name: Scheduler::wlc(),
            flags: BTreeSet::new(),
        },
        persistence: None,
        one_packet: false,
        real_servers,
        group: None,
        sorry_server: None,
        writers: None,
        pool: Shared::default(),
    }
}

fn config(virtual_servers: Vec<VirtualServer>) -> Config {
    Config {
        virtual_servers,
        ..Config::default()
    }
}

/// One service with two checked servers.
fn two() -> Config {
    config(vec![virtual_server(
        "10.0.0.1:80",
        vec![real("10.1.0.1:80", 1), real("10.1.0.2:80", 1)],
    )])
}

const TWO: &str = "-A 10.0.0.1:80/tcp -s wlc\n\
    -a 10.0.0.1:80/tcp -r 10.1.0.1:80 -m -w 1\n\
    -a 10.0.0.1:80/tcp -r 10.1.0.2:80 -m -w 1\n";

fn weight(weight: u32) -> DestinationSpec {
    DestinationSpec {
        forwarding: ForwardingMethod::Masquerading,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: crate::ipvs::TunnelKind::Ipip,
    }
}
