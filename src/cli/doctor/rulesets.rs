//! Rulesets of firewalls, from what `nft -j list ruleset` and `iptables-save` print, to chains. Pure: what
//! is not understood is [`Match::Unknown`], never a rule that is left out.

use std::net::IpAddr;

use serde_json::Value;

use crate::net::{Cidr, Family};

use super::filter::{Chain, Hook, Match, Rule, Verdict};

/// Chains of what `nft -j list ruleset` prints; tables of vipd's own are left out.
pub(super) fn of_nft(json: &Value) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let all = json["nftables"].as_array().into_iter().flatten();
    for item in all.clone() {
        let chain = &item["chain"];
        let Some((family, table)) = table_of(chain) else {
            continue;
        };
        let hook = hook(text(&chain["hook"])).zip(Some(chain["prio"].as_i64().unwrap_or(0)));
        chains.push(Chain {
            family,
            table,
            name: text(&chain["name"]).to_owned(),
            hook,
            drops: chain["policy"] == "drop",
            rules: Vec::new(),
        });
    }
    for item in all {
        let rule = &item["rule"];
        let Some((_, table)) = table_of(rule) else {
            continue;
        };
        let name = text(&rule["chain"]);
        let mut named = chains.iter_mut();
        if let Some(chain) = named.find(|chain| chain.table == table && chain.name == name) {
            chain.rules.extend(nft_rules(&rule["expr"]));
        }
    }
    chains
}

/// Whom a table concerns, and its name; none for those of bridges, of devices, and vipd's own.
fn table_of(item: &Value) -> Option<(Option<Family>, String)> {
    let family = match item["family"].as_str()? {
        "ip" => Some(Family::V4),
        "ip6" => Some(Family::V6),
        "inet" => None,
        _ => return None,
    };
    let table = item["table"].as_str()?;
    let own = table == "vipd" || table.starts_with("vipd_");
    (!own).then(|| (family, format!("nft {} {table}", text(&item["family"]))))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn hook(name: &str) -> Option<Hook> {
    Some(match name.to_ascii_lowercase().as_str() {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return None,
    })
}

/// One rule, or one for each entry of its verdict map.
fn nft_rules(statements: &Value) -> Vec<Rule> {
    let mut matches = Vec::new();
    let mut words = Vec::new();
    for statement in statements.as_array().into_iter().flatten() {
        let Some((kind, what)) = statement.as_object().and_then(|o| o.iter().next()) else {
            continue;
        };
        let verdict = match kind.as_str() {
            "match" => {
                words.push(nft_words(what));
                // `tcp dport 80` asks for TCP too.
                let header = protocol(text(&what["left"]["payload"]["protocol"]));
                matches.extend(header.map(|number| Match::Protocol(vec![number], false)));
                matches.push(nft_match(what));
                continue;
            }
            "accept" => Verdict::Accept,
            "drop" | "reject" => Verdict::Drop,
            "return" => Verdict::Return,
            "jump" => Verdict::Jump(text(&what["target"]).to_owned()),
            "goto" => Verdict::Goto(text(&what["target"]).to_owned()),
            "vmap" => return nft_map(&matches, what),
            // They change nothing about who passes.
            "counter" | "log" | "comment" | "mangle" | "ct helper" | "notrack" | "set" => continue,
            "xt" if what["name"] == "comment" => continue,
            _ => {
                words.push(kind.clone());
                matches.push(Match::Unknown);
                continue;
            }
        };
        words.push(kind.clone());
        return vec![Rule {
            text: words.join(" "),
            matches,
            verdict,
        }];
    }
    Vec::new()
}

/// `ct state vmap { established : accept, invalid : drop }`.
fn nft_map(before: &[Match], map: &Value) -> Vec<Rule> {
    let entries = map["data"]["set"].as_array().into_iter().flatten();
    let rules = entries.filter_map(|entry| {
        let (key, verdict) = (entry.get(0)?, entry.get(1)?.as_object()?.iter().next()?);
        let verdict = match verdict.0.as_str() {
            "accept" => Verdict::Accept,
            "drop" => Verdict::Drop,
            "return" => Verdict::Return,
            "jump" => Verdict::Jump(text(&verdict.1["target"]).to_owned()),
            "goto" => Verdict::Goto(text(&verdict.1["target"]).to_owned()),
            _ => return None,
        };
        let one = serde_json::json!({"op": "==", "left": map["key"], "right": key});
        let mut matches = before.to_vec();
        matches.push(nft_match(&one));
        Some(Rule {
            text: format!("vmap {}", nft_words(&one)),
            matches,
            verdict,
        })
    });
    rules.collect()
}

fn nft_words(what: &Value) -> String {
    let left = &what["left"];
    let name = match (&left["payload"], &left["meta"], &left["ct"]) {
        (Value::Object(_), ..) => {
            let payload = &left["payload"];
            format!("{} {}", text(&payload["protocol"]), text(&payload["field"]))
        }
        (_, Value::Object(_), _) => text(&left["meta"]["key"]).to_owned(),
        (.., Value::Object(_)) => format!("ct {}", text(&left["ct"]["key"])),
        _ => "something".to_owned(),
    };
    let not = if what["op"] == "!=" { "!= " } else { "" };
    let right = match &what["right"] {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    };
    format!("{name} {not}{right}")
}

fn nft_match(what: &Value) -> Match {
    let not = what["op"] == "!=";
    let right = values(&what["right"]);
    let left = &what["left"];
    let texts = || -> Option<Vec<String>> {
        let all = right.iter().map(|value| value.as_str().map(str::to_owned));
        all.collect()
    };
    let key = left["meta"]["key"].as_str();
    let found = if let Some(key) = key {
        match key {
            "iifname" | "iif" => texts().map(|names| Match::Input(names, not)),
            "oifname" | "oif" => texts().map(|names| Match::Output(names, not)),
            "l4proto" | "protocol" if key == "l4proto" => protocols(&right, not),
            "nfproto" | "protocol" => family(&right, not),
            _ => None,
        }
    } else if left["ct"]["key"] == "state" {
        texts().map(|states| Match::State(states, not))
    } else {
        let payload = &left["payload"];
        match (text(&payload["protocol"]), text(&payload["field"])) {
            ("ip", "protocol") | ("ip6", "nexthdr") => protocols(&right, not),
            ("ip" | "ip6", "saddr") => nets(&right).map(|nets| Match::Source(nets, not)),
            ("ip" | "ip6", "daddr") => nets(&right).map(|nets| Match::Destination(nets, not)),
            ("tcp" | "udp" | "th" | "sctp", "dport") => {
                ports(&right).map(|ports| Match::Port(ports, not))
            }
            ("tcp" | "udp" | "th" | "sctp", "sport") => {
                ports(&right).map(|ports| Match::SourcePort(ports, not))
            }
            _ => None,
        }
    };
    found.unwrap_or(Match::Unknown)
}

/// One value, or those of a set; that of a named set is not known here.
fn values(right: &Value) -> Vec<&Value> {
    match right {
        Value::Object(object) if object.contains_key("set") => {
            right["set"].as_array().into_iter().flatten().collect()
        }
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    }
}

fn protocols(right: &[&Value], not: bool) -> Option<Match> {
    let number = |value: &&Value| match value.as_u64() {
        Some(number) => u8::try_from(number).ok(),
        None => protocol(value.as_str()?),
    };
    let numbers: Option<Vec<u8>> = right.iter().map(number).collect();
    numbers.map(|numbers| Match::Protocol(numbers, not))
}

fn protocol(name: &str) -> Option<u8> {
    Some(match name {
        "icmp" => 1,
        "igmp" => 2,
        "tcp" => 6,
        "udp" => 17,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "vrrp" => 112,
        "sctp" => 132,
        name => return name.parse().ok(),
    })
}

fn family(right: &[&Value], not: bool) -> Option<Match> {
    let [one] = right else { return None };
    let family = match one.as_str()? {
        "ipv4" | "ip" => Family::V4,
        "ipv6" | "ip6" => Family::V6,
        _ => return None,
    };
    Some(Match::Family(family, not))
}

fn nets(right: &[&Value]) -> Option<Vec<Cidr>> {
    let net = |value: &&Value| {
        if let Some(text) = value.as_str() {
            return text.parse().ok();
        }
        let prefix = &value["prefix"];
        let addr: IpAddr = prefix["addr"].as_str()?.parse().ok()?;
        Cidr::new(addr, u8::try_from(prefix["len"].as_u64()?).ok()?)
    };
    right.iter().map(net).collect()
}

fn ports(right: &[&Value]) -> Option<Vec<(u16, u16)>> {
    let number = |value: &Value| -> Option<u16> {
        match value.as_u64() {
            Some(number) => u16::try_from(number).ok(),
            None => service(value.as_str()?),
        }
    };
    let port = |value: &&Value| match value["range"].as_array() {
        Some(range) => Some((number(range.first()?)?, number(range.last()?)?)),
        None => number(value).map(|one| (one, one)),
    };
    right.iter().map(port).collect()
}

fn service(name: &str) -> Option<u16> {
    Some(match name {
        "ssh" => 22,
        "domain" => 53,
        "http" => 80,
        "https" => 443,
        "mysql" => 3306,
        "postgresql" => 5432,
        name => return name.parse().ok(),
    })
}

/// Chains of what `iptables-save` or `ip6tables-save` prints.
pub(super) fn of_iptables(saved: &str, family: Family) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut table = String::new();
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = format!("{program} {name}");
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (Some(name), Some(policy)) = (words.next(), words.next()) else {
                continue;
            };
            chains.push(Chain {
                family: Some(family),
                table: table.clone(),
                name: name.to_owned(),
                hook: hook(name)
                    .filter(|_| policy != "-")
                    .map(|hook| (hook, order(&table))),
                drops: policy == "DROP",
                rules: Vec::new(),
            });
        } else if let Some(rule) = line.strip_prefix("-A ") {
            let (name, rule) = rule.split_once(' ').unwrap_or((rule, ""));
            let same = |chain: &&mut Chain| chain.table == table && chain.name == name;
            if let Some(chain) = chains.iter_mut().find(same)
                && !name.starts_with("vipd")
            {
                chain.rules.push(iptables_rule(rule));
            }
        }
    }
    chains
}

/// In which order tables are asked (linux/netfilter_ipv4.h).
fn order(table: &str) -> i64 {
    match table.rsplit(' ').next() {
        Some("raw") => -300,
        Some("mangle") => -150,
        Some("nat") => -100,
        Some("security") => 50,
        _ => 0,
    }
}

fn iptables_rule(text: &str) -> Rule {
    let mut rule = Rule {
        text: text.to_owned(),
        matches: Vec::new(),
        verdict: Verdict::Continue,
    };
    let mut words = text.split_whitespace().peekable();
    let mut not = false;
    while let Some(word) = words.next() {
        if word == "!" {
            not = true;
            continue;
        }
        if word == "-m" || word == "--match" {
            // What it asks follows by its own flags; those without any are not judged.
            if matches!(
                words.next(),
                Some("addrtype" | "limit" | "recent" | "set" | "statistic")
            ) {
                rule.matches.push(Match::Unknown);
            }
            continue;
        }
        if word == "-j" || word == "-g" {
            let target = words.next().unwrap_or_default().to_owned();
            rule.verdict = match target.as_str() {
                "ACCEPT" => Verdict::Accept,
                "DROP" | "REJECT" => Verdict::Drop,
                "RETURN" => Verdict::Return,
                "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "TCPMSS" | "NOTRACK" | "DNAT"
                | "SNAT" | "MASQUERADE" | "REDIRECT" | "TPROXY" | "QUEUE" | "NFQUEUE" => {
                    Verdict::Continue
                }
                _ if word == "-g" => Verdict::Goto(target),
                _ => Verdict::Jump(target),
            };
            break;
        }
        if word == "--comment" {
            let first = words.next().unwrap_or_default();
            if first.starts_with('"') && !(first.len() > 1 && first.ends_with('"')) {
                let _ = words.find(|word| word.ends_with('"'));
            }
            continue;
        }
        let values: Vec<Value> = words
            .next()
            .unwrap_or_default()
            .split(',')
            .map(|value| match value.split_once(':') {
                // Addresses of IPv6 have more of them.
                Some((from, to)) if !to.contains(':') && from.parse::<u16>().is_ok() => {
                    serde_json::json!({"range": [from, to]})
                }
                _ => Value::from(value),
            })
            .collect();
        let right: Vec<&Value> = values.iter().collect();
        let texts = || {
            right
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        let found = match word {
            "-p" => protocols(&right, not),
            "-i" => Some(Match::Input(texts(), not)),
            "-o" => Some(Match::Output(texts(), not)),
            "-s" => nets(&right).map(|nets| Match::Source(nets, not)),
            "-d" => nets(&right).map(|nets| Match::Destination(nets, not)),
            "--dport" | "--dports" => ports(&right).map(|ports| Match::Port(ports, not)),
            "--sport" | "--sports" => ports(&right).map(|ports| Match::SourcePort(ports, not)),
            "--ctstate" | "--state" => Some(Match::State(texts(), not)),
            _ => None,
        };
        rule.matches.push(found.unwrap_or(Match::Unknown));
        not = false;
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::super::filter::{Fate, Packet, fate};
    use super::*;

    fn advert() -> Packet {
        Packet {
            family: Family::V4,
            input: Some("eth0".to_owned()),
            output: None,
            protocol: 112,
            source: Some("192.0.2.2".parse().unwrap()),
            destination: Some("224.0.0.18".parse().unwrap()),
            source_port: None,
            port: None,
            established: false,
        }
    }

    fn web(port: u16) -> Packet {
        Packet {
            protocol: 6,
            source: None,
            destination: Some("192.0.2.100".parse().unwrap()),
            port: Some(port),
            ..advert()
        }
    }

    #[test]
    fn what_iptables_saves_is_understood() {
        let saved = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:web - [0:0]\n\
                     -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                     -A INPUT -i lo -m comment --comment \"from this host\" -j ACCEPT\n\
                     -A INPUT ! -i eth1 -p tcp -m multiport --dports 80,8000:8010 -j web\n\
                     -A web -s 0.0.0.0/0 -j ACCEPT\n\
                     -A INPUT -s 192.0.2.0/24 -p vrrp -j ACCEPT\nCOMMIT\n";
        let chains = of_iptables(saved, Family::V4);
        let fate = |packet: Packet| fate(&chains, Hook::Input, &packet);
        assert_eq!(fate(advert()), Fate::Passes);
        assert_eq!(fate(web(80)), Fate::Passes);
        assert_eq!(fate(web(8005)), Fate::Passes);
        let policy = Fate::Dropped("policy drop of iptables filter INPUT".to_owned());
        assert_eq!(fate(web(443)), policy);
        let elsewhere = Packet {
            source: Some("198.51.100.1".parse().unwrap()),
            ..advert()
        };
        assert_eq!(fate(elsewhere), policy);
        let answer = Packet {
            established: true,
            ..web(443)
        };
        assert_eq!(fate(answer), Fate::Passes);
    }

    #[test]
    fn what_nft_lists_is_understood() {
        let chain = serde_json::json!({"chain": {"family": "inet", "table": "filter", "name": "input",
            "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}});
        let rule = |expr: Value| {
            serde_json::json!({"rule": {"family": "inet", "table": "filter", "chain": "input",
                "expr": expr}})
        };
        let state = rule(
            serde_json::json!([{"vmap": {"key": {"ct": {"key": "state"}},
            "data": {"set": [["established", {"accept": null}], ["invalid", {"drop": null}]]}}}]),
        );
        let ports = rule(serde_json::json!([
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
             "right": {"set": [80, {"range": [8000, 8010]}]}}}, {"counter": {}}, {"accept": null}]));
        let vrrp = rule(serde_json::json!([
            {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}},
            {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "vrrp"}},
            {"drop": null}]));
        let chains = of_nft(&serde_json::json!({"nftables": [chain, state, ports, vrrp]}));
        let fate = |packet: Packet| fate(&chains, Hook::Input, &packet);
        let rule = "`iifname eth0 l4proto vrrp drop` in nft inet filter input";
        assert_eq!(fate(advert()), Fate::Dropped(rule.to_owned()));
        assert_eq!(fate(web(8001)), Fate::Passes);
        let policy = "policy drop of nft inet filter input";
        assert_eq!(fate(web(443)), Fate::Dropped(policy.to_owned()));
    }
}
