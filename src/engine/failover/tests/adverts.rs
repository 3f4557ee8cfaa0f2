//! Packets of every family and version: where they come from, where they go, whose they are.

use super::*;
use crate::config::model::{AdvertOptions, Transport};
use crate::net::NetPicture;
use crate::wire::ah::Sealed;
use std::sync::Arc;

type Sent = (Channel, IpAddr, IpAddr, u8, Arc<[u8]>);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An engine that has just become master of everything, and what it sent for it.
fn alone(instances: Vec<Instance>, own: &[&str]) -> (Failover, Vec<Sent>) {
    let picture = NetPicture {
        links: vec![link(true)],
        addresses: own.iter().map(|cidr| address(cidr, 0)).collect(),
        ..NetPicture::default()
    };
    let now = Time::ZERO;
    let mut engine = Failover::new(
        config(instances),
        picture,
        |_, _| vrrp::Start::Fresh,
        false,
        now,
    );
    let mut out = engine.start(now);
    while let Some((at, _)) = engine.next_deadline()
        && at <= Time::from_millis(4_000)
    {
        out.extend(engine.handle(Input::Timer, at));
    }
    (engine, sent(out))
}

fn sent(actions: Vec<Action>) -> Vec<Sent> {
    let sent = actions.into_iter().filter_map(|action| match action {
        Action::Send {
            channel,
            source,
            destination,
            ttl,
            payload,
            ..
        } => Some((channel, source, destination, ttl, payload)),
        _ => None,
    });
    sent.collect()
}

fn v6(vrid: u8) -> Instance {
    Instance {
        version: Version::V3,
        family: Family::V6,
        transport: Transport::Multicast(ip("ff02::12")),
        adverts: AdvertOptions::new(ip("ff02::12")).into(),
        auth: None,
        ..instance("VI_6", vrid, "2001:db8::100")
    }
}

#[test]
fn ipv6_speaks_from_the_link_local_address_to_its_group() {
    let (mut engine, packets) = alone(vec![v6(51)], &["2001:db8::5/64", "fe80::5/64"]);
    let (on, source, destination, ttl, payload) = packets[0].clone();
    assert_eq!(on, channel(Family::V6));
    assert_eq!(
        (source, destination, ttl),
        (ip("fe80::5"), ip("ff02::12"), 255)
    );
    let advert = wire::vrrp::parse(&payload, source, destination).unwrap();
    assert_eq!(advert.addresses, [ip("2001:db8::100")]);
    // Whoever has the higher address wins a tie.
    let hear = |engine: &mut Failover, from: &str| {
        let from = ip(from);
        let cover = wire::vrrp::Cover::of(Version::V3, from, destination);
        let mut payload = Vec::new();
        wire::vrrp::encode(&advert, Family::V6, cover, &mut payload).unwrap();
        let packet = Packet {
            channel: channel(Family::V6),
            source: from,
            destination,
            ttl: 255,
            header: &[],
            payload: &payload,
        };
        engine.handle(Input::Packet(packet), Time::from_millis(4_100));
        engine.roles()["VI_6"]
    };
    assert_eq!(hear(&mut engine, "fe80::4"), Role::Master);
    assert_eq!(hear(&mut engine, "fe80::6"), Role::Backup);
    assert_eq!(engine.counters()["VI_6"].advert_rcvd, 2);
}

#[test]
fn without_a_link_local_address_ipv6_is_in_fault() {
    let (engine, packets) = alone(vec![v6(51)], &["2001:db8::5/64", "10.0.0.5/24"]);
    assert_eq!(engine.roles()["VI_6"], Role::Fault);
    assert!(packets.is_empty());
}

#[test]
fn one_vrid_is_another_router_in_the_other_family() {
    let both = vec![v6(51), instance("VI_4", 51, "10.0.0.100")];
    let (engine, packets) = alone(both, &["fe80::5/64", "10.0.0.5/24"]);
    assert_eq!(engine.roles().len(), 2);
    assert!(engine.roles().values().all(|role| *role == Role::Master));
    let families: BTreeSet<Family> = packets.iter().map(|packet| packet.0.family).collect();
    assert_eq!(families.len(), 2);
}

#[test]
fn sealed_adverts_count_up_and_leave_by_their_own_socket() {
    let mut sealed = instance("VI_1", 51, "10.0.0.100");
    sealed.auth = Some(Auth::Ah(*b"secret\0\0"));
    let (mut engine, mut packets) = alone(vec![sealed], &["10.0.0.5/24"]);
    let (at, _) = engine.next_deadline().unwrap();
    packets.extend(sent(engine.handle(Input::Timer, at)));
    let numbers: Vec<u32> = packets
        .iter()
        .map(|(channel, _, _, _, payload)| {
            assert!(channel.authenticated);
            Sealed::read(payload).unwrap().sequence
        })
        .collect();
    assert!(numbers.len() >= 2);
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "{numbers:?}"
    );
}

#[test]
fn groups_tell_two_instances_of_one_vrid_apart() {
    let mut other = instance("VI_2", 51, "10.0.0.200");
    other.transport = Transport::Multicast(ip("224.0.0.99"));
    let two = vec![instance("VI_1", 51, "10.0.0.100"), other];
    let (mut engine, packets) = alone(two, &["10.0.0.5/24"]);
    let to_other = packets.iter().find(|packet| packet.2 == ip("224.0.0.99"));
    let mut payload = to_other.unwrap().4.to_vec();
    // The same from a better router: 50 more, and the sum 50 << 8 less.
    payload[2] += 50;
    payload[6] = payload[6].wrapping_sub(50);
    let packet = Packet {
        channel: channel(Family::V4),
        source: ip("10.0.0.9"),
        destination: ip("224.0.0.99"),
        ttl: 255,
        header: &[],
        payload: &payload,
    };
    engine.handle(Input::Packet(packet), Time::from_millis(4_100));
    let roles = engine.roles();
    assert_eq!((roles["VI_1"], roles["VI_2"]), (Role::Master, Role::Backup));
}
