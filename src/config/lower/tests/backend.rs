//! vipd's own checks.

use std::time::Duration;

use super::*;
use crate::config::model::{Backend, BackendCheck, CheckerKind, RedisRole, TlsMode};

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
