use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Files, Options, load};

/// One file, and nothing of iproute2.
struct One(String);

impl Files for One {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == Path::new("k.conf") {
            true => Ok(self.0.clone().into_bytes()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// What is said of a line of `virtual_routes` or `virtual_rules`.
fn said_of(block: &str, line: &str) -> Vec<String> {
    let text = format!(
        "vrrp_instance V {{\n interface eth0\n virtual_router_id 1\n {block} {{\n  {line}\n }}\n \
         virtual_ipaddress {{\n  10.0.0.1\n }}\n}}\n"
    );
    let loaded = load(Path::new("k.conf"), &One(text), &Options::default());
    loaded
        .diagnostics
        .iter()
        .map(|d| d.message.clone())
        .collect()
}

#[test]
fn routes_say_what_is_wrong_with_them() {
    for (line, expected) in [
        ("10.0.0.0/8 via 192.0.2.1 mtu", "`mtu` needs a value"),
        (
            "10.0.0.0/8 dev eth0 hoplimit 256",
            "`256` is not a value of `hoplimit`",
        ),
        (
            "10.0.0.0/8 dev eth0 table nosuch",
            "`nosuch` is no routing table",
        ),
        ("10.0.0.0/8 dev eth0 scope 300", "`300` is no scope"),
        ("10.0.0.0/8 dev eth0 metrik 5", "`metrik` is not known here"),
        ("via 192.0.2.1", "this route does not say where to"),
        (
            "10.0.0.0/8 via 2001:db8::1",
            "IPv4 and IPv6 do not go together here",
        ),
        (
            "10.0.0.0/8 nexthop via 192.0.2.1 weight 0",
            "`0` is not a value of `weight`",
        ),
        (
            "10.0.0.0/8 encap mpls 16/1048576 dev eth0",
            "`16/1048576` is not a value of `encap`",
        ),
        (
            "10.0.0.0/8 encap ip id 5 dev eth0",
            "`encap` does not say where the tunnel ends",
        ),
        (
            "10.0.0.0/8 dev eth0 pref high",
            "IPv4 and IPv6 do not go together here",
        ),
        (
            "10.0.0.0/8 dev eth0 rtt 1s1",
            "`1s1` is not a value of `rtt`",
        ),
        (
            "10.0.0.0/8 dev eth0 realms 1/70000",
            "`1/70000` is not a value of `realms`",
        ),
    ] {
        assert_eq!(said_of("virtual_routes", line), [expected], "{line}");
    }
    let clamped = said_of("virtual_routes", "10.0.0.0/8 dev eth0 rtt 100");
    assert_eq!(
        clamped,
        ["the kernel takes times from 200 ms to 120 s here"]
    );
}

#[test]
fn rules_say_what_is_wrong_with_them() {
    for (line, expected) in [
        (
            "from 10.0.0.0/8 priority 5",
            "this rule does not say what to do",
        ),
        (
            "from 10.0.0.0/8 goto 5 priority 5",
            "`goto` leads forward: 5 is not behind 5",
        ),
        (
            "from 10.0.0.0/8 goto 5",
            "`goto` needs a `preference` before its target",
        ),
        (
            "table 5 blackhole priority 5",
            "a rule does one thing: a table, l3mdev, goto, nop, blackhole, unreachable or prohibit",
        ),
        (
            "nop sup_pl 5 priority 5",
            "`realms` and `suppress_...` go with a table",
        ),
        (
            "table 5 sport 20-10 priority 5",
            "`20-10` is not a value of `sport`",
        ),
        (
            "table 5 uidrange 9-1 priority 5",
            "`9-1` is not a value of `uidrange`",
        ),
        (
            "table 5 fwmark x priority 5",
            "`x` is not a value of `fwmark`",
        ),
        (
            "table 5 to 10.0.0.0/8 from ::/0 priority 5",
            "IPv4 and IPv6 do not go together here",
        ),
        (
            "table 5",
            "this rule has no `preference`: 16384 is taken, as in keepalived",
        ),
    ] {
        assert_eq!(said_of("virtual_rules", line), [expected], "{line}");
    }
}
