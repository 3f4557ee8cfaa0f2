//! vipd's own netlink layer against the kernel and its tools: `ipvsadm` and `ip` must see what was
//! asked for, and what they say must read back.

mod batch;
mod links;
mod table;
mod zoo;

use std::net::IpAddr;
use std::time::Duration;

use vipd::ipvs::{DestinationSpec, ServiceFlags, ServiceKey, ServiceSpec, TunnelKind};
use vipd::kernel::ipvs::Ipvs;
use vipd::net::{Endpoint, ForwardingMethod, Protocol};

use crate::lab::Case;
use crate::lab::check::{Failure, Outcome};
use crate::lab::net::Host;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "netlink.save",
        proves: "every kind of service reads back as it was written, and prints as ipvsadm -Sn does",
        limit: Duration::from_secs(60),
        run: table::every_kind,
    },
    Case {
        name: "netlink.failures",
        proves: "in a batch each failure is told apart, and everything else is carried out",
        limit: Duration::from_secs(60),
        run: batch::failures,
    },
    Case {
        name: "netlink.sync_daemons",
        proves: "sync daemons start, show and stop in both roles",
        limit: Duration::from_secs(60),
        run: batch::sync_daemons,
    },
    Case {
        name: "netlink.local_server",
        proves: "a server on the director itself keeps the forwarding method that was asked for",
        limit: Duration::from_secs(60),
        run: table::local_server,
    },
    Case {
        name: "netlink.not_permitted",
        proves: "without CAP_NET_ADMIN the error says so and what to do",
        limit: Duration::from_secs(60),
        run: batch::not_permitted,
    },
    Case {
        name: "netlink.module_comes_back",
        proves: "when ip_vs is unloaded behind our back, the next look loads it and goes on",
        limit: Duration::from_secs(60),
        run: batch::module_comes_back,
    },
    Case {
        name: "netlink.thousand_services",
        proves: "1000 services of 4 servers, written in batches, are what ipvsadm -R would make",
        limit: Duration::from_secs(180),
        run: batch::thousand_services,
    },
    Case {
        name: "netlink.addresses",
        proves: "addresses are set with tag, label and flags, seen by ip, told of, and removed",
        limit: Duration::from_secs(60),
        run: links::addresses,
    },
    Case {
        name: "netlink.taken_over",
        proves: "an address that somebody set for a while lasts for ever when vipd adds it",
        limit: Duration::from_secs(60),
        run: links::taken_over,
    },
    Case {
        name: "netlink.monitor",
        proves: "links are told of as they change, and lost messages are told of as lost",
        limit: Duration::from_secs(120),
        run: links::monitor,
    },
];

fn open(host: &Host) -> Outcome<Ipvs> {
    host.within(Ipvs::open)?
        .map_err(|e| Failure::failed(e.to_string()))
}

fn failure(error: vipd::kernel::netlink::Error) -> Failure {
    Failure::failed(error.to_string())
}

fn endpoint(protocol: Protocol, addr: &str, port: u16) -> Outcome<ServiceKey> {
    let endpoint = Endpoint::new(parse(addr)?, port);
    Ok(ServiceKey::Endpoint { protocol, endpoint })
}

fn parse(addr: &str) -> Outcome<IpAddr> {
    addr.parse()
        .map_err(|_| Failure::failed(format!("{addr}: no address")))
}

fn spec(scheduler: &str) -> Outcome<ServiceSpec> {
    let scheduler = scheduler.parse();
    Ok(ServiceSpec {
        scheduler: scheduler.map_err(|()| Failure::failed("a scheduler"))?,
        flags: ServiceFlags::default(),
        persistence: None,
    })
}

fn server(forwarding: ForwardingMethod, weight: u32) -> DestinationSpec {
    DestinationSpec {
        forwarding,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
        tunnel: TunnelKind::Ipip,
    }
}
