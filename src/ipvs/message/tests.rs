use std::io::Cursor;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ipvs::{
    Attributes, ServiceFlags, SyncPackets, TunnelChecksum, decode_daemon, decode_destination,
    decode_service, decode_timeouts,
};
use crate::net::{Endpoint, FwMark, Protocol, Scheduler};

fn bytes(message: &Message) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    message.to_bytes(&mut out).unwrap();
    out.into_inner()
}

fn encoded(command: &Command) -> Vec<u8> {
    bytes(&encode(command).unwrap())
}

/// Path of nested attribute numbers to a value.
fn value(payload: &[u8], path: &[u16]) -> Option<Vec<u8>> {
    let mut bytes = payload.get(4..)?;
    for kind in path {
        bytes = Attributes::new(bytes).find(|a| a.kind == *kind)?.value;
    }
    Some(bytes.to_vec())
}

fn web() -> ServiceKey {
    ServiceKey::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: Endpoint::new([192, 168, 1, 156].into(), 3306),
    }
}

fn plain(scheduler: &str) -> ServiceSpec {
    ServiceSpec {
        scheduler: scheduler.parse().unwrap(),
        flags: ServiceFlags::default(),
        persistence: None,
    }
}

fn persistent(granularity: u8, engine: Option<&str>) -> ServiceSpec {
    let persistence = Some(Persistence {
        timeout: Duration::from_secs(50),
        granularity,
        engine: engine.map(str::to_owned),
    });
    ServiceSpec {
        persistence,
        ..plain("rr")
    }
}

#[test]
fn deleting_a_service_is_these_bytes() {
    let expected: Vec<u8> = [
        vec![3, 1, 0, 0],                       // IPVS_CMD_DEL_SERVICE, version 1
        44u16.to_ne_bytes().to_vec(),           // everything in one
        (0x8000u16 | 1).to_ne_bytes().to_vec(), // nested IPVS_CMD_ATTR_SERVICE
        6u16.to_ne_bytes().to_vec(),
        1u16.to_ne_bytes().to_vec(), // AF
        2u16.to_ne_bytes().to_vec(),
        vec![0, 0],
        6u16.to_ne_bytes().to_vec(),
        2u16.to_ne_bytes().to_vec(), // PROTOCOL
        6u16.to_ne_bytes().to_vec(),
        vec![0, 0],
        20u16.to_ne_bytes().to_vec(),
        3u16.to_ne_bytes().to_vec(), // ADDR
        vec![192, 168, 1, 156, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        6u16.to_ne_bytes().to_vec(),
        4u16.to_ne_bytes().to_vec(), // PORT, network byte order
        vec![0x0c, 0xea, 0, 0],
    ]
    .concat();
    let mut expected = expected;
    // The outer length counts the padding of the last attribute inside.
    let length = u16::try_from(expected.len() - 4).unwrap();
    expected[4..6].copy_from_slice(&length.to_ne_bytes());
    assert_eq!(encoded(&Command::DelService(web())), expected);
}

#[test]
fn flags_are_eight_bytes_with_a_full_mask() {
    let payload = encoded(&Command::NewService(web(), persistent(32, None)));
    let flags = value(&payload, &[1, 7]).unwrap();
    assert_eq!(flags, [1u32.to_ne_bytes(), [0xff; 4]].concat());
    let payload = encoded(&Command::SetService(web(), plain("rr")));
    let flags = value(&payload, &[1, 7]).unwrap();
    assert_eq!(
        flags,
        [[0; 4], [0xff; 4]].concat(),
        "nothing set, all to be cleared"
    );
}

#[test]
fn netmasks_are_a_mask_in_ipv4_and_a_length_in_ipv6() {
    let netmask = |key, spec| value(&encoded(&Command::NewService(key, spec)), &[1, 9]).unwrap();
    assert_eq!(netmask(web(), persistent(24, None)), [255, 255, 255, 0]);
    assert_eq!(netmask(web(), persistent(0, None)), [0, 0, 0, 0]);
    assert_eq!(netmask(web(), plain("rr")), [255; 4]);
    let six = ServiceKey::Endpoint {
        protocol: Protocol::Udp,
        endpoint: Endpoint::new("2001:db8::1".parse().unwrap(), 53),
    };
    assert_eq!(netmask(six, persistent(64, None)), 64u32.to_ne_bytes());
    // The kernel refuses 0 even where nothing persists.
    assert_eq!(netmask(six, plain("rr")), 128u32.to_ne_bytes());
}

#[test]
fn destinations_carry_their_family_and_fwmark_services_no_address() {
    let mark = ServiceKey::FwMark {
        family: Family::V6,
        mark: FwMark::new(7).unwrap(),
    };
    let at = DestinationKey(Endpoint::new([10, 0, 0, 1].into(), 80));
    let payload = encoded(&Command::DelDestination(mark, at));
    assert_eq!(value(&payload, &[1, 1]), Some(10u16.to_ne_bytes().to_vec()));
    assert_eq!(value(&payload, &[1, 5]), Some(7u32.to_ne_bytes().to_vec()));
    assert_eq!(value(&payload, &[1, 3]), None);
    assert_eq!(value(&payload, &[2, 11]), Some(2u16.to_ne_bytes().to_vec()));
    assert_eq!(
        value(&payload, &[2, 4]),
        None,
        "a weight is not needed to delete"
    );
}

#[test]
fn names_that_the_kernel_could_not_hold_are_refused() {
    let spec = persistent(32, Some("sixteen-bytes-ok"));
    assert_eq!(
        encode(&Command::NewService(web(), spec))
            .unwrap_err()
            .to_string(),
        "persistence engine \"sixteen-bytes-ok\" is longer than 15 bytes"
    );
    let long = "x".repeat(70_000);
    assert!(encode(&Command::NewService(web(), persistent(32, Some(&long)))).is_err());
}

#[test]
fn timeouts_beyond_32_bits_are_the_longest_there_is() {
    let mut spec = persistent(32, None);
    if let Some(persistence) = &mut spec.persistence {
        persistence.timeout = Duration::MAX;
    }
    let payload = encoded(&Command::NewService(web(), spec));
    assert_eq!(value(&payload, &[1, 8]), Some(vec![0xff; 4]));
}

fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(addr, port)| Endpoint::new(addr, port))
}

fn any_service() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let family = prop::sample::select(vec![Family::V4, Family::V6]);
    prop_oneof![
        (protocol, any_endpoint())
            .prop_map(|(protocol, endpoint)| ServiceKey::Endpoint { protocol, endpoint }),
        (family, 1u32..).prop_map(|(family, mark)| ServiceKey::FwMark {
            family,
            mark: FwMark::new(mark).unwrap(),
        }),
    ]
}

fn any_spec() -> impl Strategy<Value = ServiceSpec> {
    let persistence = (any::<u32>(), 0u8..=128, prop::option::of("[a-z]{1,15}"));
    let scheduler = prop::sample::select(Scheduler::KNOWN.to_vec());
    (scheduler, any::<[bool; 4]>(), prop::option::of(persistence)).prop_map(
        |(scheduler, [one_packet, sched_1, sched_2, sched_3], persistence)| ServiceSpec {
            scheduler: scheduler.parse().unwrap(),
            flags: ServiceFlags {
                one_packet,
                sched_1,
                sched_2,
                sched_3,
            },
            persistence: persistence.map(|(timeout, granularity, engine)| Persistence {
                timeout: Duration::from_secs(u64::from(timeout)),
                granularity,
                engine,
            }),
        },
    )
}

fn any_tunnel() -> impl Strategy<Value = TunnelKind> {
    let checksum = prop::sample::select(vec![
        TunnelChecksum::Off,
        TunnelChecksum::On,
        TunnelChecksum::Remote,
    ]);
    prop_oneof![
        Just(TunnelKind::Ipip),
        (any::<u16>(), checksum.clone())
            .prop_map(|(port, checksum)| TunnelKind::Gue { port, checksum }),
        checksum.prop_map(|checksum| TunnelKind::Gre { checksum }),
    ]
}

fn any_destination() -> impl Strategy<Value = DestinationSpec> {
    let forwarding = prop::sample::select(vec![
        ForwardingMethod::Masquerading,
        ForwardingMethod::Local,
        ForwardingMethod::Tunnel,
        ForwardingMethod::DirectRoute,
    ]);
    (forwarding, any::<[u32; 3]>(), any_tunnel()).prop_map(
        |(forwarding, [weight, upper_threshold, lower_threshold], tunnel)| DestinationSpec {
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
            tunnel: match forwarding {
                ForwardingMethod::Tunnel => tunnel,
                _ => TunnelKind::Ipip,
            },
        },
    )
}

proptest! {
    #[test]
    fn services_read_back_as_they_were_written(key in any_service(), spec in any_spec()) {
        let payload = encoded(&Command::NewService(key, spec.clone()));
        let read = decode_service(&payload).unwrap();
        prop_assert_eq!(read.key, key);
        let mut spec = spec;
        if let Some(persistence) = &mut spec.persistence {
            persistence.granularity = persistence.granularity.min(key.family().bits());
        }
        prop_assert_eq!(read.spec, spec);
    }

    #[test]
    fn destinations_read_back_as_they_were_written(
        key in any_service(),
        at in any_endpoint(),
        spec in any_destination(),
    ) {
        let at = DestinationKey(at);
        let payload = encoded(&Command::SetDestination(key, at, spec));
        let read = decode_destination(&payload, key.family()).unwrap();
        prop_assert_eq!(read.key, at);
        prop_assert_eq!(read.spec, spec);
    }

    #[test]
    fn sync_daemons_read_back_as_they_were_written(
        name in "[a-z][a-z0-9]{0,14}",
        sync_id in 0u8..,
        max_len in any::<Option<u16>>(),
        group in any::<Option<IpAddr>>(),
        port in any::<Option<u16>>(),
        ttl in any::<Option<u8>>(),
    ) {
        let packets = SyncPackets { max_len, group, port, ttl };
        for role in [SyncRole::Master, SyncRole::Backup] {
            let daemon = SyncDaemon { interface: name.parse().unwrap(), sync_id, packets };
            let payload = encoded(&Command::NewDaemon(role, daemon.clone()));
            prop_assert_eq!(decode_daemon(&payload), Ok((role, daemon)));
        }
    }

    #[test]
    fn timeouts_read_back_as_they_were_written(seconds in any::<[Option<u32>; 3]>()) {
        let time = |s: Option<u32>| s.map(|s| Duration::from_secs(s.into()));
        let [tcp, tcp_fin, udp] = seconds.map(time);
        let timeouts = Timeouts { tcp, tcp_fin, udp };
        let payload = encoded(&Command::SetTimeouts(timeouts));
        prop_assert_eq!(decode_timeouts(&payload), timeouts);
    }
}
