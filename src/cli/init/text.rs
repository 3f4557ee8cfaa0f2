//! From answers to a configuration with comments. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Answers, Scene};

/// The whole file.
pub(super) fn configuration(answers: &Answers) -> String {
    let mut out = head(answers);
    out += &instance(answers);
    match answers.scene {
        Scene::Pair => {}
        Scene::Lvs => out += &service(answers),
        Scene::Galera => out += &galera(answers),
        Scene::Container => out += &container(answers),
    }
    out
}

fn head(answers: &Answers) -> String {
    let what = match answers.scene {
        Scene::Pair => "Two nodes share an address.",
        Scene::Lvs => "Two nodes share an address; the master spreads connections over servers.",
        Scene::Galera => "Two nodes share an address in front of a Galera cluster.",
        Scene::Container => "A host's address in front of one that its containers share.",
    };
    let others = match answers.scene {
        Scene::Container => "The file of the containers stands at the end, as comments.",
        _ => {
            "The same file goes on every node, with another `priority` and, where adverts go to\n\
             # addresses, another `unicast_peer`."
        }
    };
    // MySQL lets a connection be idle for eight hours; IPVS would forget it after a quarter of one.
    let timeouts = match (answers.scene, answers.port) {
        (Scene::Pair, _) => "",
        (_, 3306) => {
            "    # As long as MySQL lets a connection be idle.\n    lvs_timeouts tcp 28800\n"
        }
        _ => "",
    };
    format!(
        "# {what}\n# {others}\n#\n# vipd check FILE says what is wrong with it, vipd doctor -f FILE what is wrong with the\n\
         # machine and its network, vipd plan --offline FILE what it would do.\n\nglobal_defs {{\n    \
         vrrp_version {}\n    # The status page; give it an address of an administrators' network, or a tunnel.\n    \
         @vipd page_listen 127.0.0.1:9165\n{timeouts}}}\n\n",
        version(answers)
    )
}

/// Version 2 is what every router speaks; it has no IPv6.
fn version(answers: &Answers) -> u8 {
    if answers.vip.addr().is_ipv6() { 3 } else { 2 }
}

fn instance(answers: &Answers) -> String {
    let Answers {
        interface,
        vip,
        node,
        vrid,
        ..
    } = answers;
    let priority = 160 - 10 * u16::from(*node);
    let mut out = format!(
        "vrrp_instance VI_1 {{\n    state BACKUP                  # the election decides, not this\n    \
         interface {interface}\n    virtual_router_id {vrid}          # the same on all nodes, and no other \
         cluster's on this network\n    priority {priority}                  # the highest that lives is \
         master: another one on each node\n    advert_int 1                  # seconds; after three of silence, \
         and a bit, another takes over\n    # nopreempt                   # let a master be until it fails, \
         whatever the priorities\n"
    );
    if !answers.peers.is_empty() {
        out += "    unicast_peer {                # every other node's own address\n";
        for peer in &answers.peers {
            let _ = writeln!(out, "        {peer}");
        }
        out += "    }\n";
    }
    let _ = write!(out, "    virtual_ipaddress {{\n        {vip}\n    }}\n");
    out += "    # A program of yours that is told: its arguments are INSTANCE, the name, the state, the priority.\n    \
            # notify /etc/vipd/notify.sh\n}\n";
    out
}

/// `virtual_server` and what is the same in each.
fn service_head(answers: &Answers, scheduler: &str, more: &str) -> String {
    let (vip, port) = (answers.vip.addr(), answers.port);
    format!(
        "\nvirtual_server {vip} {port} {{\n    delay_loop 3                  # seconds between two checks of a \
         server\n    lb_algo {scheduler}\n    lb_kind NAT                   # answers come back through this \
         node: it is the servers' gateway\n    protocol TCP\n{more}"
    )
}

fn service(answers: &Answers) -> String {
    let more = "    # persistence_timeout 300     # seconds for which a client stays with its server\n    # \
                sorry_server 127.0.0.1 8080 # who answers when no server is up\n";
    let mut out = service_head(
        answers,
        "wlc                   # fewest connections, by weight",
        more,
    );
    for server in &answers.servers {
        let _ = write!(
            out,
            "\n    real_server {} {} {{\n        weight 1\n        TCP_CHECK {{\n            connect_timeout 2\n        \
             }}\n    }}\n",
            server.ip(),
            server.port()
        );
    }
    out + "}\n\n# For NAT: sysctl -w net.ipv4.ip_forward=1 (vipd doctor looks whether it is).\n"
}

fn galera(answers: &Answers) -> String {
    let more = "    # One writer at a time avoids conflicts of transactions: see MYSQL_CHECK in docs/checks.md.\n";
    let mut out = service_head(
        answers,
        "wlc                   # fewest connections, by weight",
        more,
    );
    for server in &answers.servers {
        let _ = write!(
            out,
            "\n    real_server {} {} {{\n        weight 1\n        # Up while it is synced with the cluster. \
             CREATE USER vipd IDENTIFIED BY '...': it needs no rights.\n        @vipd MYSQL_CHECK {{\n        \
             @vipd     user vipd\n        # @vipd     password_file /etc/vipd/mysql.secret\n        \
             @vipd     galera\n        @vipd }}\n    }}\n",
            server.ip(),
            server.port()
        );
    }
    out + "}\n\n# For NAT: sysctl -w net.ipv4.ip_forward=1 (vipd doctor looks whether it is).\n"
}

fn container(answers: &Answers) -> String {
    let (inner, port) = (answers.inner_vip, answers.port);
    let more =
        "    persistence_timeout 50        # seconds for which a client stays with its server\n";
    let mut out = service_head(answers, "rr", more);
    let _ = write!(
        out,
        "\n    # Whichever container holds it. No check: the containers' own election does that.\n    real_server \
         {inner} {port} {{\n        weight 1\n    }}\n}}\n\n# For NAT: sysctl -w net.ipv4.ip_forward=1 (vipd doctor \
         looks whether it is).\n\n"
    );
    out += "# In each container (NET_ADMIN and NET_RAW; see docs/install.md), with another priority in each:\n";
    let vrid = answers.vrid;
    let version = if matches!(inner, IpAddr::V6(_)) { 3 } else { 2 };
    let inside = format!(
        "global_defs {{\n    vrrp_version {version}\n}}\nvrrp_instance VI_1 {{\n    state BACKUP\n    interface eth0\n    \
         virtual_router_id {vrid}\n    priority 101\n    advert_int 1\n    virtual_ipaddress {{\n        {inner}\n    \
         }}\n}}\n"
    );
    for line in inside.lines() {
        let _ = writeln!(out, "# {line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::config::{Files, Options, Style, load};

    struct One(String);

    impl Files for One {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone().into_bytes())
        }

        fn exists(&self, _: &Path) -> bool {
            false
        }

        fn glob(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    fn check(text: String) {
        let loaded = load(
            Path::new("vipd.conf"),
            &One(text.clone()),
            &Options::default(),
        );
        let said = loaded.render(Style::Plain);
        assert!(loaded.diagnostics.is_empty(), "{text}\n{said}");
    }

    #[test]
    fn whatever_is_answered_there_is_nothing_to_say_against_the_file() {
        for scene in [Scene::Pair, Scene::Lvs, Scene::Galera, Scene::Container] {
            for (vip, server, inner, peers) in [
                (
                    "192.0.2.100/24",
                    "198.51.100.11:3306",
                    "172.18.0.201",
                    vec![],
                ),
                (
                    "2001:db8::100/64",
                    "[2001:db8:1::11]:3306",
                    "fd00::201",
                    vec![],
                ),
                (
                    "192.0.2.100/32",
                    "198.51.100.11:80",
                    "172.18.0.201",
                    vec!["192.0.2.2".parse().unwrap()],
                ),
            ] {
                let text = configuration(&Answers {
                    scene,
                    interface: "eth0".parse().unwrap(),
                    vip: vip.parse().unwrap(),
                    node: 2,
                    vrid: 51,
                    peers,
                    servers: vec![server.parse().unwrap()],
                    inner_vip: inner.parse().unwrap(),
                    port: 3306,
                });
                check(text.clone());
                // What stands at the end for the containers is a file too.
                if let Some((_, inside)) = text.split_once("in each:\n") {
                    let lines = inside.lines().filter_map(|line| line.strip_prefix("# "));
                    check(lines.fold(String::new(), |text, line| text + line + "\n"));
                }
            }
        }
    }
}
