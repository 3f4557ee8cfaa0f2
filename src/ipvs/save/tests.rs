use std::time::Duration;

use super::*;
use crate::ipvs::{Destinations, Service};
use crate::net::FwMark;

fn spec(scheduler: &str) -> ServiceSpec {
    ServiceSpec {
        scheduler: scheduler.parse().unwrap(),
        flags: ServiceFlags::default(),
        persistence: None,
    }
}

fn persistent(scheduler: &str, timeout: u64, granularity: u8) -> ServiceSpec {
    ServiceSpec {
        persistence: Some(Persistence {
            timeout: Duration::from_secs(timeout),
            granularity,
            engine: None,
        }),
        ..spec(scheduler)
    }
}

fn at(protocol: Protocol, addr: &str, port: u16) -> ServiceKey {
    ServiceKey::Endpoint {
        protocol,
        endpoint: Endpoint::new(addr.parse().unwrap(), port),
    }
}

fn mark(family: Family, mark: u32) -> ServiceKey {
    let mark = FwMark::new(mark).unwrap();
    ServiceKey::FwMark { family, mark }
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

fn table(
    services: impl IntoIterator<Item = (ServiceKey, ServiceSpec, Vec<(Endpoint, DestinationSpec)>)>,
) -> Table {
    services
        .into_iter()
        .map(|(key, spec, servers)| {
            let destinations: Destinations = servers
                .into_iter()
                .map(|(endpoint, spec)| (DestinationKey(endpoint), spec))
                .collect();
            (key, Service { spec, destinations })
        })
        .collect()
}

#[test]
fn a_database_behind_nat_prints_as_ipvsadm_does() {
    let haproxy = Endpoint::new([172, 18, 0, 201].into(), 3306);
    let table = table([(
        at(Protocol::Tcp, "192.168.1.156", 3306),
        persistent("rr", 50, 32),
        vec![(haproxy, server(ForwardingMethod::Masquerading, 1))],
    )]);
    let expected = "-A -t 192.168.1.156:3306 -s rr -p 50\n\
                    -a -t 192.168.1.156:3306 -r 172.18.0.201:3306 -m -w 1\n";
    assert_eq!(save(&table), expected);
    assert_eq!(save_complete(&table), expected);
}

#[test]
fn services_come_in_the_order_of_ipvsadm() {
    let names = [
        at(Protocol::Tcp, "192.0.2.9", 80),
        at(Protocol::Tcp, "192.0.2.10", 80),
        at(Protocol::Udp, "192.0.2.1", 53),
        at(Protocol::Sctp, "192.0.2.1", 53),
        at(Protocol::Tcp, "2001:db8::9", 80),
        at(Protocol::Udp, "2001:db8::1", 53),
        mark(Family::V4, 3),
        mark(Family::V4, 7),
        mark(Family::V6, 7),
    ];
    let table = table(names.map(|key| (key, spec("wlc"), Vec::new())));
    let expected = "-A -t 192.0.2.9:80 -s wlc\n\
                    -A -t 192.0.2.10:80 -s wlc\n\
                    -A -u 192.0.2.1:53 -s wlc\n\
                    -A --sctp-service 192.0.2.1:53 -s wlc\n\
                    -A -t [2001:db8::9]:80 -s wlc\n\
                    -A -u [2001:db8::1]:53 -s wlc\n\
                    -A -f 3 -s wlc\n\
                    -A -f 7 -s wlc\n\
                    -A -f 7 -6 -s wlc\n";
    assert_eq!(save(&table), expected);
}

#[test]
fn options_of_services_stand_where_ipvsadm_has_them() {
    let mut sip = persistent("rr", 60, 32);
    if let Some(persistence) = &mut sip.persistence {
        persistence.engine = Some("sip".to_owned());
    }
    sip.flags.one_packet = true;
    let mut hash = spec("sh");
    hash.flags.sched_1 = true;
    hash.flags.sched_2 = true;
    let mut flagged = spec("rr");
    flagged.flags.one_packet = true;
    flagged.flags.sched_2 = true;
    flagged.flags.sched_3 = true;
    let table = table([
        (
            at(Protocol::Tcp, "192.0.2.1", 0),
            persistent("lc", 360, 24),
            Vec::new(),
        ),
        (
            at(Protocol::Tcp, "192.0.2.2", 0),
            persistent("lc", 360, 0),
            Vec::new(),
        ),
        (at(Protocol::Tcp, "192.0.2.3", 80), hash, Vec::new()),
        (at(Protocol::Udp, "192.0.2.4", 5060), sip, Vec::new()),
        (at(Protocol::Udp, "192.0.2.5", 53), flagged, Vec::new()),
        (
            at(Protocol::Tcp, "2001:db8::1", 443),
            persistent("lc", 300, 64),
            Vec::new(),
        ),
    ]);
    let expected = "-A -t 192.0.2.1:0 -s lc -p 360 -M 255.255.255.0\n\
                    -A -t 192.0.2.2:0 -s lc -p 360 -M 0.0.0.0\n\
                    -A -t 192.0.2.3:80 -s sh -b sh-fallback,sh-port\n\
                    -A -u 192.0.2.4:5060 -s rr -p 60 --pe sip -o\n\
                    -A -u 192.0.2.5:53 -s rr -o -b flag-2,flag-3\n\
                    -A -t [2001:db8::1]:443 -s lc -p 300 -M 64\n";
    assert_eq!(save(&table), expected);
}

#[test]
fn what_ipvsadm_leaves_out_is_in_the_complete_text() {
    let mut hash = spec("mh");
    hash.flags.sched_3 = true;
    let mut limited = server(ForwardingMethod::DirectRoute, 2);
    limited.upper_threshold = 100;
    limited.lower_threshold = 10;
    let near = Endpoint::new([10, 0, 0, 1].into(), 80);
    let table = table([(
        at(Protocol::Tcp, "192.0.2.1", 80),
        hash,
        vec![(near, limited)],
    )]);
    assert_eq!(
        save(&table),
        "-A -t 192.0.2.1:80 -s mh -b \n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 2\n"
    );
    assert_eq!(
        save_complete(&table),
        "-A -t 192.0.2.1:80 -s mh -b flag-3\n\
         -a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 2 -x 100 -y 10\n"
    );
}

#[test]
fn tunnels_say_their_kind_after_the_weight() {
    let tunnel = |tunnel, n: u8| {
        let spec = DestinationSpec {
            tunnel,
            ..server(ForwardingMethod::Tunnel, 1)
        };
        (Endpoint::new([10, 0, 0, n].into(), 80), spec)
    };
    let gue = |checksum| TunnelKind::Gue {
        port: 6080,
        checksum,
    };
    let servers = vec![
        tunnel(TunnelKind::Ipip, 9),
        tunnel(gue(TunnelChecksum::Off), 10),
        tunnel(gue(TunnelChecksum::Remote), 11),
        tunnel(
            TunnelKind::Gre {
                checksum: TunnelChecksum::On,
            },
            12,
        ),
    ];
    let key = mark(Family::V4, 5);
    let expected = "-A -f 5 -s rr\n\
                    -a -f 5 -r 10.0.0.9:80 -i -w 1 --tun-type ipip\n\
                    -a -f 5 -r 10.0.0.10:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n\
                    -a -f 5 -r 10.0.0.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n\
                    -a -f 5 -r 10.0.0.12:80 -i -w 1 --tun-type gre --tun-csum\n";
    assert_eq!(save(&table([(key, spec("rr"), servers)])), expected);
}

#[test]
fn each_command_has_its_arguments_of_ipvsadm() {
    use crate::ipvs::{Command, SyncDaemon, SyncPackets, SyncRole, Timeouts};
    use std::time::Duration;
    let endpoint = |text: &str| {
        let at: std::net::SocketAddr = text.parse().unwrap();
        Endpoint::new(at.ip(), at.port())
    };
    let service = ServiceKey::Endpoint {
        protocol: Protocol::Tcp,
        endpoint: endpoint("10.0.0.1:80"),
    };
    let at = DestinationKey(endpoint("10.1.0.1:80"));
    let spec = DestinationSpec {
        forwarding: ForwardingMethod::Masquerading,
        weight: 3,
        upper_threshold: 9,
        lower_threshold: 0,
        tunnel: TunnelKind::Ipip,
    };
    let daemon = SyncDaemon {
        interface: "eth0".parse().unwrap(),
        sync_id: 7,
        packets: SyncPackets::default(),
    };
    let timeouts = Timeouts {
        tcp: Some(Duration::from_secs(28_800)),
        ..Timeouts::default()
    };
    let lines = [
        (
            Command::SetDestination(service, at, spec),
            "-e -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 3 -x 9",
        ),
        (
            Command::DelDestination(service, at),
            "-d -t 10.0.0.1:80 -r 10.1.0.1:80",
        ),
        (Command::DelService(service), "-D -t 10.0.0.1:80"),
        (
            Command::NewDaemon(SyncRole::Backup, daemon),
            "--start-daemon backup --mcast-interface eth0 --syncid 7",
        ),
        (Command::DelDaemon(SyncRole::Master), "--stop-daemon master"),
        (Command::SetTimeouts(timeouts), "--set 28800 0 0"),
    ];
    for (command, expected) in lines {
        assert_eq!(line(&command), expected);
    }
}
