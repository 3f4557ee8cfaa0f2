//! `keepalived.stats`.

use std::fmt::Write as _;

use crate::engine::failover::View;

/// What each instance sent and got.
pub(super) fn text(view: &View) -> String {
    let mut out = String::new();
    for instance in super::instances(view) {
        let c = &instance.counters;
        let sections: [(&str, &[(&str, u64)]); 6] = [
            (
                "Advertisements",
                &[("Received", c.advert_rcvd), ("Sent", c.advert_sent)],
            ),
            ("Became master", &[("", c.become_master)]),
            ("Released master", &[("", c.release_master)]),
            (
                "Packet Errors",
                &[
                    ("Length", c.packet_len_err),
                    ("TTL", c.ip_ttl_err),
                    ("Invalid Type", c.invalid_type_rcvd),
                    ("Advertisement Interval", c.advert_interval_err),
                    ("Address List", c.addr_list_err),
                ],
            ),
            (
                "Authentication Errors",
                &[
                    ("Invalid Type", c.invalid_authtype),
                    ("Type Mismatch", c.authtype_mismatch),
                    ("Failure", c.auth_failure),
                ],
            ),
            (
                "Priority Zero",
                &[("Received", c.pri_zero_rcvd), ("Sent", c.pri_zero_sent)],
            ),
        ];
        let _ = writeln!(out, "VRRP Instance: {}", instance.config.name);
        for (name, values) in sections {
            if let [("", count)] = values {
                let _ = writeln!(out, "  {name}: {count}");
                continue;
            }
            let _ = writeln!(out, "  {name}:");
            for (name, count) in values {
                let _ = writeln!(out, "    {name}: {count}");
            }
        }
    }
    out
}
