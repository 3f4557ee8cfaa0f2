use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::Code;
use crate::config::{Files, Options, ScriptFile, load};

/// One configuration, and scripts.
struct Fake {
    text: String,
    scripts: BTreeMap<PathBuf, ScriptFile>,
}

impl Files for Fake {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.text.clone().into_bytes())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn script(&self, path: &Path) -> Option<ScriptFile> {
        self.scripts.get(path).cloned()
    }
}

/// The risks of a configuration in which a script has this text and mode.
fn risks_with(text: &str, script: &str, writable_by_all: bool) -> Vec<String> {
    let script = ScriptFile {
        head: script.into(),
        writable_by_all,
    };
    let files = Fake {
        text: text.to_owned(),
        scripts: BTreeMap::from([(PathBuf::from("/s"), script)]),
    };
    let loaded = load(Path::new("k.conf"), &files, &Options::default());
    assert!(!loaded.diagnostics.is_broken(), "{text}");
    let risks = loaded.diagnostics.iter().filter(|d| d.code == Code::Risk);
    risks.map(|d| d.message.clone()).collect()
}

fn risks(text: &str) -> Vec<String> {
    risks_with(text, "#!/bin/sh\n", false)
}

fn instance(more: &str) -> String {
    format!(
        "vrrp_instance A {{\n interface eth0\n virtual_router_id 1\n\
         virtual_ipaddress {{\n 10.0.0.10/24\n }}\n{more}\n}}\n"
    )
}

const SCRIPT: &str = "vrrp_script s {\n script /s\n timeout 2\n weight -5\n}\n";
const TRACK: &str = "track_script {\n s\n}";

fn service(kind: &str, more: &str) -> String {
    format!(
        "virtual_server 10.0.0.10 80 {{\n protocol TCP\n lb_algo rr\n lb_kind {kind}\n{more}\n}}\n"
    )
}

#[test]
fn what_is_in_order_is_no_risk() {
    let none: Vec<String> = Vec::new();
    assert_eq!(risks(&format!("{SCRIPT}{}", instance(TRACK))), none);
    let real = "quorum 1\n real_server 10.9.0.1 80 {\n }\n real_server 10.9.0.2 80 {\n }";
    assert_eq!(risks(&(instance("") + &service("NAT", real))), none);
}

#[test]
fn a_virtual_address_that_is_static_too_is_a_risk() {
    let text = instance("") + "static_ipaddress {\n 10.0.0.10/24 dev eth0\n}\n";
    assert_eq!(
        risks(&text),
        ["10.0.0.10 of `A` is a `static_ipaddress` too"]
    );
}

#[test]
fn a_router_that_is_its_own_peer_is_a_risk() {
    let unicast = |source: &str| {
        instance(&format!(
            "unicast_src_ip {source}\n unicast_peer {{\n 10.0.0.2\n 10.0.0.3\n }}"
        ))
    };
    assert!(risks(&unicast("10.0.0.1")).is_empty());
    assert_eq!(
        risks(&unicast("10.0.0.2")),
        ["10.0.0.2 in `unicast_peer` of `A` is its own `unicast_src_ip`"]
    );
}

#[test]
fn strict_routers_that_do_not_own_their_addresses_are_a_risk() {
    let strict = "global_defs {\n vrrp_strict\n}\n";
    let said = "with `vrrp_strict` the addresses of `A` answer neither ping nor anybody";
    assert_eq!(risks(&format!("{strict}{}", instance(""))), [said]);
    assert_eq!(risks(&format!("{strict}{}", instance("accept"))), [said]);
    assert!(risks(&format!("{strict}{}", instance("version 3\n accept"))).is_empty());
    assert!(risks(&format!("{strict}{}", instance("priority 255"))).is_empty());
    assert!(risks(&format!("{strict}{}", instance("strict_mode off"))).is_empty());
}

#[test]
fn weights_that_cannot_move_an_instance_are_a_risk() {
    let with = |more: &str| {
        risks(&format!(
            "{SCRIPT}{}",
            instance(&format!("{TRACK}\n{more}"))
        ))
    };
    assert_eq!(
        with("nopreempt"),
        ["with `nopreempt` the weight of `s` may never move `A`"]
    );
    assert_eq!(with("priority 255"), ["the weight of `s` never moves `A`"]);
    let up = format!(
        "{SCRIPT}{}",
        instance("priority 254\ntrack_script {\n s weight 5\n}")
    );
    let said = "the weight of `s` cannot raise `A`: 254 is the highest";
    assert_eq!(risks(&up), [said]);
    let other =
        "vrrp_instance B {\n interface eth1\n virtual_router_id 2\n no_virtual_ipaddress\n}\n";
    let group = "vrrp_sync_group G {\n group { A B }\n}\n";
    let grouped = format!("{SCRIPT}{}{other}{group}", instance(TRACK));
    assert_eq!(
        risks(&grouped),
        ["`A` is in sync group `G`, which takes no weights: `s` has one"]
    );
    let allowed = grouped.replace("{ A B }", "{ A B }\n sync_group_tracking_weight");
    assert!(risks(&allowed).is_empty());
}

#[test]
fn a_real_server_that_is_the_virtual_address_is_a_risk() {
    let text = service("DR", "real_server 10.0.0.10 80 {\n }");
    let said = "the real server 10.0.0.10 is the virtual server's own address";
    assert_eq!(risks(&text), [said]);
}

#[test]
fn nat_to_a_server_in_the_network_of_the_address_is_a_risk() {
    let near = "real_server 10.0.0.7 80 {\n }\n real_server 10.0.0.8 80 {\n }";
    assert_eq!(
        risks(&(instance("") + &service("NAT", near))),
        ["with NAT, 10.0.0.7 (and 1 more) has no way back to clients of its own network"]
    );
    assert!(risks(&(instance("") + &service("DR", near))).is_empty());
}

#[test]
fn nat_to_a_loopback_address_is_a_risk() {
    let here = "real_server 127.0.0.1 80 {\n }";
    assert_eq!(
        risks(&service("NAT", here)),
        ["with NAT, the real server 127.0.0.1 serves this host alone"]
    );
    assert!(risks(&service("DR", here)).is_empty());
}

#[test]
fn a_quorum_that_cannot_be_reached_is_a_risk() {
    let real = "real_server 10.9.0.1 80 {\n weight 3\n }";
    let with = |more: &str| risks(&service("NAT", &format!("{more}\n{real}")));
    assert_eq!(
        with("quorum 4"),
        ["the quorum of 4 is above the sum of all weights, 3"]
    );
    assert_eq!(
        with("quorum 2\n hysteresis 2"),
        ["the hysteresis of 2 is not below the quorum, 2"]
    );
    assert_eq!(
        with("quorum 3\n hysteresis 1"),
        [
            "a quorum of 3 that was lost never comes back: with the hysteresis it needs 4, and all \
          weights are 3"
        ]
    );
    assert!(with("quorum 2\n hysteresis 1").is_empty());
}

#[test]
fn scripts_that_the_kernel_cannot_run_are_a_risk() {
    let text = format!("{SCRIPT}{}", instance(TRACK));
    let with = |script: &str| risks_with(&text, script, false);
    assert_eq!(
        with("\n# check\n#!/bin/sh\nexit 1\n"),
        ["`#!` of `/s` stands on line 3, not on the first"]
    );
    assert_eq!(with("exit 1\n"), ["`/s` has no `#!` line"]);
    assert_eq!(
        with("\u{feff}#!/bin/sh\n"),
        ["`/s` does not begin with `#!` but with something unseen"]
    );
    assert!(with("\x7fELF\0").is_empty());
}

#[test]
fn scripts_that_sleep_past_their_timeout_are_a_risk() {
    let text = format!("{SCRIPT}{}", instance(TRACK));
    let with = |script: &str| risks_with(&text, script, false);
    assert_eq!(
        with("#!/bin/sh\nsystemctl start x; sleep 2\n"),
        ["`/s` sleeps 2 s and is killed after 2 s: it fails"]
    );
    let silent = text.replace("timeout 2", "interval 2");
    assert_eq!(
        risks_with(&silent, "#!/bin/sh\nsleep 3\n", false),
        ["`/s` sleeps 3 s and counts as failed after 2 s; it is left to end within 12 s"]
    );
    assert!(with("#!/bin/sh\n# sleep 9\nsleep 0.5s\nsleep $N\n").is_empty());
    let inline = text.replace("script /s", "script \"/bin/sh -c 'sleep 1m'\"");
    assert_eq!(
        risks(&inline),
        ["`/bin/sh -c sleep 1m` sleeps 60 s and is killed after 2 s: it fails"]
    );
}

#[test]
fn scripts_that_everybody_may_write_are_a_risk() {
    let notified = instance("notify_master /s");
    assert_eq!(
        risks_with(&notified, "#!/bin/sh\n", true),
        ["everybody may write to `/s`"]
    );
}

#[test]
fn members_of_a_sync_group_pull_together() {
    let conf = |priority: u8, group: &str| {
        let instance = |name: &str, vrid: u8, priority: u8, lines: &str| {
            format!(
                "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n \
                 priority {priority}\n {lines}\n virtual_ipaddress {{\n 10.0.0.{vrid}\n }}\n}}\n"
            )
        };
        let track = "track_file {\n f\n g weight 2\n }";
        format!(
            "track_file f {{\n file /run/f\n }}\ntrack_file g {{\n file /run/g\n }}\n\
             vrrp_sync_group G {{\n group {{\n A\n B\n }}\n {group}\n}}\n{}{}",
            instance("A", 51, 100, track),
            instance("B", 52, priority, "")
        )
    };
    assert_eq!(risks(&conf(100, "sync_group_tracking_weight")), [""; 0]);
    let said = risks(&conf(90, "")).join("\n");
    for part in [
        "`A` and `B` of sync group `G` have different priorities",
        "`A` is in sync group `G`, which takes no weights: `g` has one",
        "`A` is in sync group `G`, which takes no weights: `f` has one",
    ] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
}

#[test]
fn trackers_that_nobody_reads_are_told_of() {
    let text = "track_file f {\n file /run/f\n }\nvrrp_track_process p {\n process p\n }\n\
                vrrp_instance A {\n interface eth0\n virtual_router_id 51\n \
                virtual_ipaddress {\n 10.0.0.1\n }\n}\n";
    let files = Fake {
        text: text.to_owned(),
        scripts: BTreeMap::new(),
    };
    let loaded = load(Path::new("/c"), &files, &Options::default());
    let unused = loaded.diagnostics.iter().filter(|d| d.code == Code::Unused);
    let said: Vec<&str> = unused.map(|d| d.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "nobody tracks `track_file f`",
            "nobody tracks `vrrp_track_process p`"
        ]
    );
}

#[test]
fn an_address_of_two_instances_is_said_once_and_only_on_one_interface() {
    let other = |interface: &str| {
        instance("")
            .replace("vrrp_instance A", "vrrp_instance B")
            .replace("router_id 1", "router_id 2")
            .replace("eth0", interface)
    };
    let shared = "10.0.0.10 is an address of `A` and of `B`".to_owned();
    assert_eq!(risks(&(instance("") + &other("eth0"))), [shared]);
    assert_eq!(risks(&(instance("") + &other("eth1"))), [""; 0]);
}

#[test]
fn a_growing_weight_needs_a_scheduler_that_looks_at_it() {
    let said = |scheduler: &str, weight: u32| {
        risks(&format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo {scheduler}\n lb_kind NAT\n\
             @vipd slow_start 60\n real_server 10.1.0.1 80 {{\n weight {weight}\n }}\n}}\n"
        ))
    };
    assert_eq!(said("wrr", 100), [""; 0]);
    assert_eq!(
        said("rr", 100),
        ["`slow_start` does nothing: `rr` does not look at weights"]
    );
    assert_eq!(
        said("wlc", 1),
        ["`slow_start` does nothing: a weight of 1 has no steps"]
    );
    assert_eq!(said("mh", 100).len(), 1);
}

#[test]
fn idle_connections_to_mysql_are_remembered_as_long_as_mysql_does() {
    let said = |globals: &str, port: u16| {
        risks(&format!(
            "global_defs {{\n{globals}\n}}\nvirtual_server 10.0.0.1 {port} {{\n protocol TCP\n \
             lb_algo rr\n lb_kind NAT\n real_server 10.1.0.1 {port} {{\n }}\n}}\n"
        ))
    };
    let message =
        |idle| format!("IPVS forgets an idle connection after {idle}, MySQL keeps it for 8 hours");
    assert_eq!(said("", 3306), [message("15 minutes")]);
    assert_eq!(said("lvs_timeouts tcp 3600", 3306), [message("3600 s")]);
    assert_eq!(said("lvs_timeouts tcp 28800", 3306), [""; 0]);
    assert_eq!(said("", 80), [""; 0]);
}

#[test]
fn what_a_pool_with_one_writer_does_not_do() {
    let said = |more: &str, readers: &str| {
        risks(&format!(
            "virtual_server 10.0.0.1 80 {{\n protocol TCP\n lb_algo wlc\n lb_kind NAT\n{more}\
             real_server 10.1.0.1 80 {{\n }}\n}}\n{readers}"
        ))
    };
    assert_eq!(
        said("@vipd one_writer order\n@vipd on_down kill\n", ""),
        [""; 0]
    );
    let keeps =
        "with `one_writer` a writer that is none any more keeps no place: it leaves at once";
    assert_eq!(
        said("@vipd one_writer order\ninhibit_on_failure\n", ""),
        [keeps]
    );
    assert_eq!(
        said("@vipd one_writer order\n@vipd on_down drain\n", ""),
        [keeps]
    );
    assert_eq!(
        said("@vipd one_writer index\n", ""),
        [
            "connections to a writer that is none any more hang until their clients give up",
            "`one_writer index`: no check of this pool learns the index of a server"
        ]
    );
    let readers = "virtual_server 10.0.0.2 80 {\n protocol TCP\n lb_algo wlc\n lb_kind NAT\n\
                   @vipd readers_of 10.0.0.1 80\n real_server 10.1.0.9 80 {\n }\n}\n";
    assert_eq!(
        said("@vipd one_writer order\n@vipd on_down kill\n", readers),
        ["`readers_of` does nothing: none of these servers stands in that pool"]
    );
}
