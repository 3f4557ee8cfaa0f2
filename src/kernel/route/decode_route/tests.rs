use proptest::prelude::*;

use super::*;
use crate::kernel::route::encode;
use crate::net::{NetCommand, Placement, RouteCommand, RuleCommand, UNICAST};

fn written(command: impl Into<NetCommand>) -> Vec<u8> {
    let request = encode::command(&command.into()).unwrap();
    request.payload.as_ref().to_vec()
}

fn any_addr(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::from).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::from).boxed(),
    }
}

fn any_tunnel<A: std::fmt::Debug + Copy + Arbitrary + 'static>() -> BoxedStrategy<Tunnel<A>> {
    let all = any::<(u64, A, A, u8, u8, u16)>();
    all.prop_map(|(id, dst, src, ttl, tos, flags)| Tunnel {
        id,
        dst,
        src,
        ttl,
        tos,
        flags,
    })
    .boxed()
}

fn any_encap() -> impl Strategy<Value = Encap> {
    prop_oneof![
        any_tunnel().prop_map(Encap::Ip),
        any_tunnel().prop_map(Encap::Ip6),
        prop::collection::vec(0u32..1 << 20, 1..4).prop_map(Encap::Mpls),
    ]
}

fn any_hop() -> impl Strategy<Value = (Hop, HopOptions)> {
    let hop = (
        any::<IpAddr>(),
        1u32..,
        any::<u8>(),
        any::<bool>(),
        any::<u32>(),
    );
    (hop, prop::option::of(any_encap())).prop_map(|((via, dev, weight, onlink, realms), encap)| {
        let options = HopOptions {
            weight,
            onlink,
            realms,
            encap,
        };
        ((Some(via), InterfaceIndex::new(dev)), options)
    })
}

fn any_route() -> impl Strategy<Value = (RouteKey, RouteSpec)> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let key = family.prop_flat_map(|family| {
        let head = (
            any_addr(family),
            0..=family.bits(),
            any::<u32>(),
            any::<u32>(),
        );
        let tail = (any::<u8>(), any::<u8>(), 1u8..12, any_addr(family));
        (Just(family), head, tail)
    });
    let more = (
        prop::collection::btree_map(2u16..15, any::<u32>(), 0..4),
        prop::option::of("[a-z]{1,15}"),
        prop::option::of(any::<u32>()),
        prop::option::of(any::<u8>()),
        prop::option::of(any::<bool>()),
        any::<u8>(),
    );
    (key, prop::collection::vec(any_hop(), 0..4), more).prop_map(|(key, hops, more)| {
        let (family, (addr, prefix, table, metric), (tos, protocol, kind, source)) = key;
        let (metrics, congestion, expires, preference, ttl_propagate, scope) = more;
        let (hops, mut options): (Vec<Hop>, Vec<HopOptions>) = hops.into_iter().unzip();
        if let [only] = options.as_mut_slice() {
            only.weight = 0;
        }
        let key = RouteKey {
            family,
            table,
            destination: Cidr::new(addr, prefix).unwrap(),
            source: None,
            tos,
            metric,
            kind,
            protocol,
            hops,
        };
        let spec = RouteSpec {
            scope,
            source_address: Some(source),
            hops: options,
            metrics,
            locked: 0,
            congestion,
            expires,
            preference,
            ttl_propagate,
            placement: Placement::Prepend,
        };
        (key, spec)
    })
}

prop_compose! {
    fn any_rule()(
        family in prop_oneof![Just(Family::V4), Just(Family::V6)],
        numbers in any::<(u32, u32, bool, u8, u64, u8)>(),
        fwmark in prop::option::of(any::<(u32, u32)>()),
        suppressed in any::<(Option<u16>, Option<u16>)>(),
        names in prop::option::of(("[a-z]{1,15}", "[a-z]{1,15}")),
        uids in any::<Option<(u32, u32)>>(),
        ports in any::<(Option<(u16, u16)>, Option<(u16, u16)>)>(),
        ip_protocol in any::<Option<u8>>(),
        action in prop_oneof![
            (1u32..).prop_map(RuleAction::Table),
            Just(RuleAction::L3mdev),
            any::<u32>().prop_map(RuleAction::Goto),
            Just(RuleAction::Nop),
            Just(RuleAction::Blackhole),
            Just(RuleAction::Unreachable),
            Just(RuleAction::Prohibit),
        ],
    )(
        from in any_addr(family),
        family in Just(family), numbers in Just(numbers), fwmark in Just(fwmark),
        suppressed in Just(suppressed), names in Just(names), uids in Just(uids),
        ports in Just(ports), ip_protocol in Just(ip_protocol), action in Just(action),
    ) -> Rule {
        let (preference, realms, invert, tos, tunnel_id, protocol) = numbers;
        let (iif, oif) = names.unzip();
        Rule {
            invert,
            from: Some(Cidr::host(from)),
            to: Some(Cidr::host(from)),
            tos,
            fwmark,
            realms,
            suppress_prefix: suppressed.0.map(u32::from),
            suppress_group: suppressed.1.map(u32::from),
            iif: iif.map(|name: String| name.parse().unwrap()),
            oif: oif.map(|name: String| name.parse().unwrap()),
            tunnel_id,
            uids,
            ip_protocol,
            source_ports: ports.0,
            destination_ports: ports.1,
            protocol,
            ..Rule::new(family, preference, action)
        }
    }
}

proptest! {
    #[test]
    fn routes_read_back_as_they_were_written((key, spec) in any_route()) {
        let read = route(&written(RouteCommand::Add(key.clone(), spec.clone()))).unwrap();
        prop_assert_eq!(&read.key, &key);
        prop_assert_eq!(read.spec, spec);
        let gone = written(RouteCommand::Delete(key.clone()));
        prop_assert_eq!(route(&gone).unwrap().key, key.clone());
        prop_assert_eq!(route_protocol(&gone), Some(key.protocol));
    }

    #[test]
    fn rules_read_back_as_they_were_written(wanted in any_rule()) {
        let read = rule(&written(RuleCommand::Add(wanted.clone()))).unwrap();
        prop_assert_eq!(&read, &wanted);
        let gone = rule(&written(RuleCommand::Delete(wanted.clone()))).unwrap();
        prop_assert_eq!(gone, wanted);
    }

    #[test]
    fn any_bytes_are_a_route_and_a_rule_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = route(&bytes);
        let _ = rule(&bytes);
    }

    #[test]
    fn any_damage_to_a_route_is_survived(
        (key, spec) in any_route(),
        at in 0usize..300,
        byte in any::<u8>(),
        cut in 0usize..300,
    ) {
        let mut bytes = written(RouteCommand::Add(key, spec));
        if let Some(b) = bytes.get_mut(at) {
            *b = byte;
        }
        bytes.truncate(cut);
        let _ = route(&bytes);
    }
}

#[test]
fn a_hop_that_was_asked_for_by_address_is_found_where_the_kernel_put_it() {
    let hop = |dev: Option<u32>| {
        let via = Some(IpAddr::from([10, 0, 0, 1]));
        (via, dev.and_then(InterfaceIndex::new))
    };
    let asked = RouteKey {
        family: Family::V4,
        table: 254,
        destination: "10.9.0.0/16".parse().unwrap(),
        source: None,
        tos: 0,
        metric: 0,
        kind: UNICAST,
        protocol: 112,
        hops: vec![hop(None)],
    };
    let shown = |dev| RouteKey {
        hops: vec![hop(Some(dev))],
        ..asked.clone()
    };
    assert!(asked.is_shown_as(&shown(2)) && asked.is_shown_as(&shown(3)));
    assert!(shown(2).is_shown_as(&shown(2)) && !shown(2).is_shown_as(&shown(3)));
    assert_eq!(asked.to_string(), "10.9.0.0/16 via 10.0.0.1");
}
