//! Whether adverts and the services' packets get through the firewalls. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::config::Config;
use crate::config::model::{Instance, Transport, VirtualServerAddress};
use crate::net::{Family, ForwardingMethod, Protocol};
use crate::wire::PROTOCOL_VRRP;

use super::facts::Facts;
use super::filter::{Fate, Hook, Packet, fate};
use super::judge::{Findings, Severity};
use Severity::{Error, Note};

/// Whether adverts get through the firewall, both ways.
pub(super) fn vrrp_filter(facts: &Facts, instance: &Instance, out: &mut Findings) {
    let name = instance.interface.as_ref().map(ToString::to_string);
    let destinations = match &instance.transport {
        Transport::Multicast(group) => vec![(*group, None)],
        Transport::Unicast(peers) => peers.iter().map(|peer| (*peer, Some(*peer))).collect(),
    };
    let on = format!("vrrp_instance {}", instance.name);
    let own = instance.src_ip;
    for (destination, peer) in destinations {
        let coming = Packet {
            family: instance.family,
            input: name.clone(),
            output: None,
            protocol: PROTOCOL_VRRP,
            source: peer,
            // To us, where it is not to the group.
            destination: if peer.is_some() {
                own
            } else {
                Some(destination)
            },
            source_port: None,
            port: None,
            established: false,
        };
        let going = Packet {
            input: None,
            output: name.clone(),
            source: own,
            destination: Some(destination),
            ..coming.clone()
        };
        for (hooks, packet, word, why) in [
            (
                [Hook::Prerouting, Hook::Input],
                coming,
                "that come in",
                "this router does not hear the master, and becomes one beside it",
            ),
            (
                [Hook::Output, Hook::Postrouting],
                going,
                "that go out",
                "the other routers do not hear this one, and become master beside it",
            ),
        ] {
            let family = instance.family;
            let remedy = open_vrrp(family);
            let what =
                |rule| format!("the firewall drops adverts (IP protocol 112) {word}: {rule}");
            tell(
                facts,
                hooks,
                &packet,
                "vrrp-filter",
                &on,
                what,
                why,
                &remedy,
                out,
            );
        }
    }
}

fn open_vrrp(family: Family) -> String {
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    format!(
        "accept it before that rule: nft insert rule TABLE CHAIN meta l4proto vrrp accept, or \
         {program} -I INPUT -p vrrp -j ACCEPT, or firewall-cmd --permanent --add-protocol=vrrp"
    )
}

#[expect(
    clippy::too_many_arguments,
    reason = "one question, and all that is said of its answer"
)]
fn tell(
    facts: &Facts,
    hooks: [Hook; 2],
    packet: &Packet,
    code: &'static str,
    on: &str,
    what: impl Fn(String) -> String,
    why: &str,
    remedy: &str,
    out: &mut Findings,
) {
    for hook in hooks {
        match fate(&facts.firewall, hook, packet) {
            Fate::Passes => {}
            Fate::Dropped(rule) => out.add((Error, code), on, what(rule), why, remedy),
            Fate::Perhaps(rule) => {
                let what = format!("perhaps {}", what(rule));
                out.add((Note, code), on, what, why, remedy);
            }
        }
    }
}

/// Whether clients get through to the services, and answers of servers behind NAT back.
pub(super) fn service_filter(facts: &Facts, config: &Config, out: &mut Findings) {
    for vs in &config.virtual_servers {
        let VirtualServerAddress::Endpoint { protocol, endpoint } = &vs.address else {
            continue;
        };
        let number = match protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        };
        let on = format!("virtual_server {endpoint}");
        let client = Packet {
            family: Family::of(endpoint.addr),
            input: holder(config, endpoint.addr),
            output: None,
            protocol: number,
            source: None,
            destination: Some(endpoint.addr),
            source_port: None,
            port: Some(endpoint.port),
            established: false,
        };
        let hooks = [Hook::Prerouting, Hook::Input];
        let what = |rule| format!("the firewall drops what clients send to it: {rule}");
        let why = "IPVS takes packets behind that rule, and never sees them";
        let port = endpoint.port;
        let remedy = format!(
            "accept it before that rule: nft insert rule TABLE CHAIN th dport {port} accept"
        );
        tell(
            facts,
            hooks,
            &client,
            "service-filter",
            &on,
            what,
            why,
            &remedy,
            out,
        );
        let behind = vs.real_servers.iter();
        let behind: BTreeSet<_> = behind
            .filter(|rs| rs.forwarding == ForwardingMethod::Masquerading)
            .map(|rs| rs.endpoint)
            .collect();
        for server in behind {
            let answer = Packet {
                family: Family::of(server.addr),
                input: None,
                output: None,
                protocol: number,
                source: Some(server.addr),
                destination: None,
                source_port: Some(server.port),
                port: None,
                established: true,
            };
            // By which interfaces it comes and goes is not known: rules about those are doubtful.
            let what =
                |rule| format!("the firewall drops answers of {server} that are forwarded: {rule}");
            let why = "NAT sends answers of servers through this machine; clients wait in vain (Docker sets \
                       FORWARD to drop)";
            let remedy = format!(
                "accept them: iptables -I FORWARD -s {} -j ACCEPT",
                server.addr
            );
            let hooks = [Hook::Forward, Hook::Forward];
            tell(
                facts,
                hooks,
                &answer,
                "forward-filter",
                &on,
                what,
                why,
                &remedy,
                out,
            );
        }
    }
}

/// The interface of the instance that holds an address.
fn holder(config: &Config, address: IpAddr) -> Option<String> {
    let mut instances = config.instances.iter();
    let found = instances.find_map(|instance| {
        let mut vips = instance.all_vips();
        let vip = vips.find(|vip| vip.cidr.addr() == address)?;
        vip.dev.as_ref().or(instance.interface.as_ref())
    });
    found.map(ToString::to_string)
}
