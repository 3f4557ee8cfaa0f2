//! What a line is about, for programs that read the log: the fields of the journal, and of a line in JSON.

use std::fmt::Display;

use tracing::{error, info, warn};

use crate::engine::balancer::{BalancerEvent, KernelEvent, ServerKey, Severity};
use crate::engine::failover::Event as FailoverEvent;
use crate::ipvs::ServiceKey;

/// What it is about; each may be absent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Subject {
    kind: &'static str,
    instance: Option<String>,
    group: Option<String>,
    state: Option<String>,
    before: Option<String>,
    router: Option<String>,
    tracker: Option<String>,
    interface: Option<String>,
    address: Option<String>,
    session: Option<String>,
    virtual_server: Option<String>,
    real_server: Option<String>,
    check: Option<String>,
    operator: Option<String>,
}

macro_rules! say {
    ($level:ident, $subject:expr, $text:expr) => {{
        let s = $subject;
        $level!(
            kind = s.kind,
            instance = s.instance.as_deref(),
            group = s.group.as_deref(),
            state = s.state.as_deref(),
            before = s.before.as_deref(),
            router = s.router.as_deref(),
            tracker = s.tracker.as_deref(),
            interface = s.interface.as_deref(),
            address = s.address.as_deref(),
            session = s.session.as_deref(),
            virtual_server = s.virtual_server.as_deref(),
            real_server = s.real_server.as_deref(),
            check = s.check.as_deref(),
            operator = s.operator.as_deref(),
            "{}",
            $text
        )
    }};
}

/// Logs what the failover engine says.
pub fn failover(event: &FailoverEvent) {
    let subject = of_failover(event);
    match event.is_warning() {
        true => say!(warn, subject, event),
        false => say!(info, subject, event),
    }
}

/// Logs what the balancer says.
pub fn balancer(event: &BalancerEvent) {
    let subject = of_balancer(event);
    match event.severity() {
        Severity::Info => say!(info, subject, event),
        Severity::Warning => say!(warn, subject, event),
        Severity::Error => say!(error, subject, event),
    }
}

fn text(value: impl Display) -> Option<String> {
    Some(value.to_string())
}

fn of_failover(event: &FailoverEvent) -> Subject {
    let vrrp = Subject {
        kind: "vrrp",
        ..Subject::default()
    };
    let about = |instance: &String| Subject {
        instance: Some(instance.clone()),
        kind: "vrrp",
        ..Subject::default()
    };
    match event {
        FailoverEvent::State {
            instance, from, to, ..
        } => Subject {
            state: text(to),
            before: text(from),
            ..about(instance)
        },
        FailoverEvent::Note { instance, .. } | FailoverEvent::InstanceGone { instance } => {
            about(instance)
        }
        FailoverEvent::Rejected {
            instance, source, ..
        }
        | FailoverEvent::OtherAddresses {
            instance, source, ..
        } => Subject {
            router: text(source),
            ..about(instance)
        },
        FailoverEvent::BadPacket { source, .. } | FailoverEvent::UnknownVrid { source, .. } => {
            Subject {
                router: text(source),
                ..vrrp
            }
        }
        FailoverEvent::Group { group, from, to } => Subject {
            group: Some(group.clone()),
            state: text(to),
            before: text(from),
            ..vrrp
        },
        FailoverEvent::AddressTaken { instance, cidr, .. }
        | FailoverEvent::LeaseOver { instance, cidr } => Subject {
            address: text(cidr),
            ..about(instance)
        },
        FailoverEvent::HeldElsewhere {
            instance,
            address,
            interface,
            ..
        } => Subject {
            address: text(address),
            interface: interface.as_ref().map(ToString::to_string),
            ..about(instance)
        },
        FailoverEvent::RoutingTaken { instance, .. } => Subject {
            instance: instance.clone(),
            ..vrrp
        },
        FailoverEvent::Script { name, .. } => Subject {
            kind: "tracker",
            tracker: Some(format!("script {name}")),
            ..vrrp
        },
        FailoverEvent::Fact { name, .. } | FailoverEvent::FactMissing { name } => Subject {
            kind: "tracker",
            tracker: text(name),
            ..vrrp
        },
        FailoverEvent::Link { name, .. } | FailoverEvent::LinkGone { name } => Subject {
            kind: "link",
            interface: text(name),
            ..vrrp
        },
        FailoverEvent::Session(event) => Subject {
            kind: "bfd",
            session: Some(event.session.clone()),
            ..vrrp
        },
        FailoverEvent::LinkFailed { .. } => Subject {
            kind: "link",
            ..vrrp
        },
        FailoverEvent::AddressFailed { .. }
        | FailoverEvent::IpvsNotReady
        | FailoverEvent::StartDelayed(_) => vrrp,
    }
}

fn of_service(kind: &'static str, service: &ServiceKey) -> Subject {
    Subject {
        kind,
        virtual_server: text(service),
        ..Subject::default()
    }
}

fn of_server(kind: &'static str, server: &ServerKey) -> Subject {
    Subject {
        real_server: text(server.endpoint),
        ..of_service(kind, &server.service)
    }
}

fn of_balancer(event: &BalancerEvent) -> Subject {
    match event {
        BalancerEvent::CheckPassed { server, checker }
        | BalancerEvent::TryFailed {
            server, checker, ..
        }
        | BalancerEvent::CheckFailed {
            server, checker, ..
        }
        | BalancerEvent::NotAsked {
            server, checker, ..
        }
        | BalancerEvent::OddAnswer {
            server, checker, ..
        } => Subject {
            check: Some(checker.kind.keyword().to_owned()),
            ..of_server("check", server)
        },
        BalancerEvent::Pool { server, .. }
        | BalancerEvent::HeldBack { server, .. }
        | BalancerEvent::StillOut { server, .. } => of_server("pool", server),
        BalancerEvent::Quorum { service, .. } => of_service("pool", service),
        BalancerEvent::Sorry {
            service, endpoint, ..
        } => Subject {
            real_server: text(endpoint),
            ..of_service("pool", service)
        },
        BalancerEvent::Writer { service, now, .. } => Subject {
            real_server: now.as_ref().map(|(server, _)| server.endpoint.to_string()),
            ..of_service("pool", service)
        },
        BalancerEvent::Override { scope, order, .. } => Subject {
            kind: "operator",
            operator: Some(order.by.clone()),
            real_server: match scope {
                crate::engine::balancer::Scope::Server(whom) => text(whom),
                crate::engine::balancer::Scope::Service(_) => None,
            },
            virtual_server: match scope {
                crate::engine::balancer::Scope::Server(_) => None,
                crate::engine::balancer::Scope::Service(name) => Some(name.clone()),
            },
            ..Subject::default()
        },
        BalancerEvent::Suspended { address, .. } => Subject {
            kind: "check",
            address: text(address),
            ..Subject::default()
        },
        BalancerEvent::Kernel(event) => of_kernel(event),
    }
}

fn of_kernel(event: &KernelEvent) -> Subject {
    match event {
        KernelEvent::SetByHand {
            service,
            destination,
            ..
        }
        | KernelEvent::AddedByHand {
            service,
            destination,
        }
        | KernelEvent::Draining {
            service,
            destination,
            ..
        }
        | KernelEvent::Drained {
            service,
            destination,
            ..
        } => Subject {
            real_server: text(destination),
            ..of_service("ipvs", service)
        },
        _ => Subject {
            kind: "ipvs",
            ..Subject::default()
        },
    }
}
