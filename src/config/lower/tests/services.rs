//! Virtual servers.

use std::time::Duration;

use super::*;
use crate::config::model::{CheckerKind, VirtualServerAddress};

#[test]
fn a_group_is_one_virtual_server_and_no_address_has_two() {
    let text = "virtual_server_group web {\n 10.0.0.1 80\n 10.0.0.2 81\n 10.0.0.1 80\n}\n\
                virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n \
                real_server 10.1.0.1 80 {\n }\n}\n\
                virtual_server group web {\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
                real_server 10.1.0.2 {\n }\n real_server 10.1.0.3 99 {\n }\n}\n\
                virtual_server group web {\n protocol TCP\n lb_algo rr\n lb_kind DR\n \
                real_server 10.1.0.4 {\n }\n}\n";
    let loaded = read(text);
    let said = loaded.diagnostics.iter().map(|d| d.message.clone());
    let said: Vec<String> = said.filter(|m| m.contains("virtual server")).collect();
    assert_eq!(
        said,
        [
            "10.0.0.1:80/tcp of this group has a virtual server already",
            "this virtual server is defined twice"
        ]
    );
    let config = loaded.config.unwrap();
    let mut shown = config.virtual_servers.iter().map(|vs| {
        let addresses: Vec<String> = lvs_keys(vs);
        let servers: Vec<String> = vs
            .real_servers
            .iter()
            .map(|rs| rs.endpoint.to_string())
            .collect();
        (addresses.join(" "), servers.join(" "))
    });
    let alone = ("10.0.0.1:80".to_owned(), "10.1.0.1:80".to_owned());
    assert_eq!(shown.clone().next().unwrap(), alone);
    assert_eq!(shown.clone().count(), 2);
    let group = ("10.0.0.2:81", "10.1.0.2:0 10.1.0.3:99 10.1.0.4:0");
    let last = shown.next_back().unwrap();
    assert_eq!((last.0.as_str(), last.1.as_str()), group);
}

fn lvs_keys(vs: &crate::config::model::VirtualServer) -> Vec<String> {
    vs.addresses()
        .map(|address| match address {
            VirtualServerAddress::Endpoint { endpoint, .. } => endpoint.to_string(),
            VirtualServerAddress::FwMark { mark, .. } => mark.to_string(),
        })
        .collect()
}

#[test]
fn what_becomes_of_connections_is_inherited_and_spares_the_others() {
    let text = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n\
                @vipd on_down drain\n@vipd drain_timeout 40\n@vipd slow_start 9\n\
                real_server 10.1.0.1 80 {\n @vipd on_down kill\n @vipd flap_damping 3 60\n }\n\
                real_server 10.1.0.2 80 {\n @vipd on_remove drain 7\n }\n}\n\
                virtual_server 10.0.0.2 80 {\n protocol TCP\n lb_algo wrr\n lb_kind NAT\n\
                real_server 10.1.0.1 80 {\n }\n}\n";
    let loaded = read(text);
    let config = loaded.config.unwrap();
    let servers = config
        .virtual_servers
        .iter()
        .flat_map(|vs| vs.real_servers.iter());
    let shown: Vec<_> = servers
        .map(|rs| {
            let said = rs.connections.as_deref().unwrap();
            (said.on_down, said.on_remove, rs.inhibit_on_failure)
        })
        .collect();
    let drain = |seconds| Some(model::OnGone::Drain(Duration::from_secs(seconds)));
    assert_eq!(
        shown,
        [
            (Some(model::OnGone::Kill), drain(40), false),
            (drain(40), drain(7), false),
            (None, drain(300), true),
        ]
    );
    let first = config.virtual_servers[0].real_servers[0]
        .connections
        .as_deref();
    assert_eq!(first.unwrap().slow_start, Some(Duration::from_secs(9)));
    assert_eq!(first.unwrap().flap_damping.unwrap().count, 3);
    for (line, said) in [
        (
            "on_down perhaps",
            "`on_down` takes kill, drain or drain SECONDS",
        ),
        (
            "on_remove drain 0",
            "`0` of `on_remove` is not a number from 1 to 86400",
        ),
        (
            "flap_damping 1 9",
            "`1` of `flap_damping` is not a number from 2 to 1000",
        ),
    ] {
        let text = format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n\
             @vipd {line}\n real_server 10.1.0.1 80 {{\n }}\n}}\n"
        );
        let loaded = read(&text);
        assert!(loaded.diagnostics.errors() > 0);
        let mut messages = loaded.diagnostics.iter().map(|d| d.message.as_str());
        assert!(messages.any(|m| m == said), "{line}");
    }
}

#[test]
fn no_retry_is_said_in_a_checker_alone_and_mail_is_asked_for_where_the_server_is() {
    let text = "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n retry 0\n \
        real_server 10.1.0.1 2525 {\n SMTP_CHECK {\n }\n TCP_CHECK {\n retry 0\n }\n }\n \
        real_server 10.1.0.2 2525 {\n retry 0\n SMTP_CHECK {\n connect_port 26\n }\n }\n}\n";
    let loaded = read(text);
    let said = loaded.diagnostics.iter();
    let said = said.filter(|d| d.message.contains("retry")).count();
    assert_eq!(said, 2, "the virtual server's and the real server's");
    let config = loaded.config.unwrap();
    let checkers: Vec<_> = config.checkers().collect();
    let retries: Vec<u32> = checkers.iter().map(|checker| checker.retry).collect();
    assert_eq!(retries, [1, 0, 1]);
    let ports = checkers.iter().filter_map(|checker| match &checker.kind {
        CheckerKind::Smtp(check) => Some(check.hosts[0].destination.port),
        _ => None,
    });
    assert_eq!(ports.collect::<Vec<_>>(), [2525, 26]);
}

#[test]
fn writers_and_their_readers() {
    use crate::config::model::{OneWriter, WriterOrder, Writers};

    let service = |port: u16, more: &str| {
        format!(
            "virtual_server 10.0.0.1 {port} {{\n protocol TCP\n lb_algo wlc\n lb_kind NAT\n{more}\
             real_server 10.1.0.1 3306 {{\n }}\n}}\n"
        )
    };
    let writers = service(
        3306,
        "@vipd one_writer index\n@vipd writer_failback\n@vipd on_down kill\n",
    );
    let readers = service(3307, "@vipd readers_of 10.0.0.1 3306\n");
    let loaded = read(&(readers.clone() + &writers + &service(3308, "")));
    let config = loaded.config.unwrap();
    let [readers_of, one, plain] = config.virtual_servers.as_slice() else {
        panic!("{config:?}");
    };
    let rule = OneWriter {
        order: WriterOrder::Index,
        failback: true,
    };
    assert_eq!(one.writers, Some(Writers::One(rule)));
    assert_eq!(readers_of.writers, Some(Writers::ReadersOf(one.address)));
    // Nobody keeps a place among writers; others do where somebody asks for `kill`.
    assert!(!one.real_servers[0].inhibit_on_failure);
    assert!(plain.real_servers[0].inhibit_on_failure);
    let said = |text: String| {
        let loaded = read(&text);
        let all = loaded.diagnostics.iter().map(|d| d.message.clone());
        let own = all.filter(|m| m.contains("writer") || m.contains("readers"));
        own.collect::<Vec<String>>()
    };
    for (text, message) in [
        (
            readers.clone() + &service(3306, ""),
            "`readers_of` names a virtual server that has no writer",
        ),
        (
            readers.clone(),
            "`readers_of` names a virtual server that is not defined",
        ),
        (
            service(
                3306,
                "@vipd one_writer order\n@vipd readers_of 10.0.0.1 3306\n",
            ),
            "a pool with `one_writer` cannot be one of readers",
        ),
        (
            service(3306, "@vipd writer_failback\n"),
            "`writer_failback` does nothing without `one_writer`",
        ),
    ] {
        assert_eq!(said(text), [message]);
    }
}
