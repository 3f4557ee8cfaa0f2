//! vipd's own checks.

use std::time::Duration;

use super::*;
use crate::config::model::{
    Backend, BackendCheck, CheckerKind, Donor, PgsqlRole, RedisRole, TlsMode,
};

/// The checks of one server, and what is said of them.
fn checks(block: &str) -> (Vec<BackendCheck>, Vec<String>) {
    let loaded = read(&format!(
        "virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo wrr\n lb_kind NAT\n connect_timeout 2\n \
         real_server 10.1.0.1 6379 {{\n{block}\n}}\n}}\n"
    ));
    let said = loaded.diagnostics.iter().map(|d| d.message.clone());
    let said = said.collect();
    let config = loaded.config.unwrap_or_default();
    let backends = config.checkers().filter_map(|checker| match &checker.kind {
        CheckerKind::Backend(check) => Some((**check).clone()),
        _ => None,
    });
    (backends.collect(), said)
}

#[test]
fn words_of_a_block_of_ones_own_stand_on_lines_of_ones_own() {
    let (checks, said) = checks(
        "@vipd REDIS_CHECK {\n@vipd role replica\n@vipd user u\n@vipd password p\n@vipd connect_port 99\n\
         @vipd tls verify\n@vipd tls_ca /ca\n@vipd tls_name db\n@vipd connect_timeout 7\n@vipd }",
    );
    assert_eq!(said, [""; 0]);
    let check = &checks[0];
    let role = Some(RedisRole::Replica);
    assert_eq!(check.backend, Backend::Redis { role });
    assert_eq!(check.connect.destination.to_string(), "10.1.0.1:99");
    assert_eq!(check.connect.connect_timeout, Duration::from_secs(7));
    assert_eq!(check.tls.mode, TlsMode::Verify);
    let password = check.password.as_ref();
    assert_eq!(password.map(|p| p.reveal()), Some("p"));
    assert!(!format!("{check:?}").contains("\"p\""));
}

#[test]
fn what_is_not_on_such_a_line_does_not_count() {
    let (found, said) = checks("REDIS_CHECK {\n}\n");
    assert!(found.is_empty());
    assert_eq!(said, ["`REDIS_CHECK` is a keyword of vipd's own"]);
    let (found, said) =
        checks("@vipd HAPROXY_CHECK {\nconnect_port 99\n@vipd role master\n@vipd }");
    assert_eq!(found[0].connect.destination.port, 6379);
    assert_eq!(said.len(), 2, "{said:?}");
    let (_, said) = checks("@vipd REDIS_CHECK {\n@vipd tls_ca /ca\n@vipd user u\n@vipd }");
    assert_eq!(
        said,
        [
            "`tls_ca` does nothing: no certificate is looked at",
            "`user` does nothing without a password"
        ]
    );
}

#[test]
fn databases_are_asked_as_it_is_written() {
    let (found, said) = checks(
        "@vipd MYSQL_CHECK {\n@vipd user u\n@vipd donor deny\n@vipd desynced allow\n@vipd min_cluster_size 2\n\
         @vipd max_recv_queue 100\n@vipd flow_control_weight\n@vipd read_only off\n@vipd max_lag 5\n\
         @vipd query \"SELECT 2\"\n@vipd database d\n@vipd }\n\
         @vipd PGSQL_CHECK {\n@vipd user u\n@vipd role standby\n@vipd max_lag 7\n@vipd tls on\n@vipd }",
    );
    assert_eq!(said, [""; 0]);
    let Backend::Mysql { database, wants } = &found[0].backend else {
        panic!("{found:?}");
    };
    assert_eq!(database.as_deref(), Some("d"));
    assert_eq!(wants.query.as_deref(), Some("SELECT 2"));
    assert_eq!(
        (wants.read_only, wants.max_lag),
        (Some(false), Some(Duration::from_secs(5)))
    );
    let galera = wants.galera.clone().unwrap();
    assert_eq!((galera.donor, galera.desynced), (Donor::Deny, true));
    assert_eq!(
        (galera.min_cluster_size, galera.max_recv_queue),
        (2, Some((100, 50)))
    );
    assert!(galera.flow_control_weight && found[0].backend.weighs());
    assert_eq!(found[0].tls.mode, TlsMode::Prefer);
    let Backend::Pgsql { wants, .. } = &found[1].backend else {
        panic!("{found:?}");
    };
    assert_eq!(wants.role, Some(PgsqlRole::Standby));
    assert_eq!(wants.max_lag, Some(Duration::from_secs(7)));
    assert_eq!(found[1].tls.mode, TlsMode::On);
}

#[test]
fn who_logs_in_has_to_be_said_and_a_queue_has_an_order() {
    let (found, said) = checks("@vipd MYSQL_CHECK {\n@vipd }");
    assert!(found.is_empty());
    assert_eq!(said, ["`MYSQL_CHECK` does not say who logs in"]);
    let (_, said) = checks("@vipd MYSQL_CHECK {\n@vipd user u\n@vipd max_recv_queue 5 9\n@vipd }");
    let expected = "`max_recv_queue` takes HIGH, or HIGH and LOW, which is not above it";
    assert_eq!(said, [expected]);
}

#[test]
fn grpc_asks_for_a_service_or_for_the_server_as_a_whole() {
    let (checks, said) = checks(
        "@vipd GRPC_CHECK {\n@vipd }\n@vipd GRPC_CHECK {\n@vipd service shop.Cart\n@vipd authority shop\n\
         @vipd tls on\n@vipd }",
    );
    assert_eq!(said, [""; 0]);
    let whole = Backend::Grpc {
        service: String::new(),
        authority: None,
    };
    assert_eq!(
        (&checks[0].backend, checks[0].tls.mode),
        (&whole, TlsMode::Off)
    );
    let one = Backend::Grpc {
        service: "shop.Cart".to_owned(),
        authority: Some("shop".to_owned()),
    };
    assert_eq!(
        (&checks[1].backend, checks[1].tls.mode),
        (&one, TlsMode::On)
    );
}

#[test]
fn a_page_is_asked_for_as_wanted_and_its_server_s_certificate_looked_at() {
    let read = |block: &str| {
        let loaded = read(&format!(
            "virtual_server 10.0.0.1 443 {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n real_server 10.1.0.1 443 {{\nSSL_GET {{\n{block}\n\
             }}\n}}\n}}\n"
        ));
        let said: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|d| d.message.clone())
            .collect();
        let config = loaded.config.unwrap_or_default();
        let check = config.checkers().find_map(|checker| match &checker.kind {
            CheckerKind::Http(check) => Some((**check).clone()),
            _ => None,
        });
        (check, said)
    };
    let (check, said) = read(
        "@vipd tls_verify\n@vipd tls_ca /ca\n@vipd tls_expiry_warning 14\nurl {\npath /\n@vipd method HEAD\n\
         @vipd header Accept text/html\n@vipd header Authorization: \"Basic abc\"\n}",
    );
    assert_eq!(said, [""; 0]);
    let check = check.unwrap();
    let certificate = check.certificate.unwrap();
    assert_eq!(certificate.tls.mode, TlsMode::Verify);
    assert_eq!(certificate.tls.ca.as_deref(), Some("/ca"));
    assert_eq!(certificate.expiry_days, Some(14));
    let url = &check.urls[0];
    assert_eq!(url.method.word(), "HEAD");
    let headers = url.headers.iter();
    let headers: Vec<_> = headers.map(|(n, v)| (n.as_str(), v.reveal())).collect();
    assert_eq!(
        headers,
        [("Accept", "text/html"), ("Authorization", "Basic abc")]
    );
    let (check, said) = read("@vipd tls_name a\nurl {\npath /\n@vipd method HEAD\nregex a\n}");
    assert!(check.unwrap().certificate.is_none());
    assert_eq!(
        said,
        [
            "`tls_ca` and `tls_name` do nothing: no certificate must be good",
            "the answer to HEAD has no body: its `digest` and `regex` are those of nothing",
        ]
    );
    for (line, why) in [
        (
            "Host a",
            "`Host` is not for this: say `virtualhost` and `http_protocol`",
        ),
        ("a(b c", "`a(b` is no name of a header"),
    ] {
        let (_, said) = read(&format!("url {{\npath /\n@vipd header {line}\n}}"));
        assert!(said.iter().any(|said| said == why), "{said:?}");
    }
}
