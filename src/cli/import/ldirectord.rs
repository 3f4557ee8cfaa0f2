//! ldirectord.cf: `key = value` on each line; those that are indented belong to the `virtual` above them.

use std::collections::BTreeMap;

use super::{Import, Server, Service, endpoint};

/// Keys that say nothing here: logs, its own process, and what vipd does by itself.
const SILENT: [&str; 5] = [
    "logfile",
    "supervised",
    "fork",
    "cleanstop",
    "readdquiescent",
];

/// A block as it stands.
#[derive(Default)]
struct Block {
    virtual_: String,
    values: BTreeMap<String, String>,
    reals: Vec<String>,
}

/// What is understood of it.
pub(super) fn read(text: &str) -> Import {
    let mut import = Import::default();
    let mut globals = BTreeMap::new();
    let mut blocks: Vec<Block> = Vec::new();
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let Some((key, value)) = content.split_once('=') else {
            import.leave(content, "it is no KEY = VALUE");
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), unquoted(value));
        let indented = line.starts_with([' ', '\t']);
        match (key.as_str(), blocks.last_mut().filter(|_| indented)) {
            ("virtual", _) => blocks.push(Block {
                virtual_: value,
                ..Block::default()
            }),
            ("real" | "real6", Some(block)) => block.reals.push(value),
            (_, Some(block)) => drop(block.values.insert(key, value)),
            ("real", None) => import.leave(content, "it stands in no virtual service"),
            (_, None) => drop(globals.insert(key, value)),
        }
    }
    for block in &blocks {
        match service(block, &globals, &mut import) {
            Ok(service) => import.services.push(service),
            Err(why) => import.leave(&format!("virtual={}", block.virtual_), why),
        }
    }
    let used = [
        "checkinterval",
        "checktimeout",
        "checkcount",
        "negotiatetimeout",
        "quiescent",
        "checktype",
    ];
    for (key, value) in &globals {
        if !used.contains(&key.as_str()) && !SILENT.contains(&key.as_str()) {
            let why = match key.as_str() {
                "emailalert" | "emailalertfrom" | "emailalertfreq" | "emailalertstatus"
                | "smtp" => "write notification_email and smtp_server in global_defs",
                "autoreload" => "send SIGHUP, or `vipd reload`, when the file has changed",
                "fallback" | "fallbackcommand" => "write sorry_server in each virtual_server",
                _ => "it has no counterpart",
            };
            import.leave(&format!("{key}={value}"), why);
        }
    }
    import
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value).to_owned()
}

/// A value of the block, else of all.
fn of<'a>(block: &'a Block, globals: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    block
        .values
        .get(key)
        .or_else(|| globals.get(key))
        .map(String::as_str)
}

fn number(text: Option<&str>) -> Option<u32> {
    text?.trim().parse().ok()
}

fn service(
    block: &Block,
    globals: &BTreeMap<String, String>,
    import: &mut Import,
) -> Result<Service, &'static str> {
    let value = |key: &str| of(block, globals, key);
    let protocol = match value("protocol") {
        Some("udp") => Some("UDP"),
        Some("fwm") => None,
        _ if block.virtual_.parse::<u32>().is_ok() => None,
        _ => Some("TCP"),
    };
    let address = match protocol {
        Some(_) => endpoint(&block.virtual_).ok_or("it names no address and port")?,
        None => match block.virtual_.parse::<u32>() {
            Ok(mark) if mark > 0 => format!("fwmark {mark}"),
            _ => return Err("it names no mark"),
        },
    };
    let mut lines = Vec::new();
    if let Some(seconds) = number(value("checkinterval")) {
        lines.push(format!("delay_loop {seconds}"));
    }
    let scheduler = value("scheduler").unwrap_or("wrr");
    if !scheduler.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err("its scheduler is none");
    }
    lines.push(format!("lb_algo {scheduler}"));
    if let Some(seconds) = number(value("persistent")) {
        lines.push(format!("persistence_timeout {seconds}"));
    }
    if let Some(mask) = value("netmask").filter(|mask| mask.parse::<std::net::Ipv4Addr>().is_ok())
        && value("persistent").is_some()
        && mask != "255.255.255.255"
    {
        lines.push(format!("persistence_granularity {mask}"));
    }
    if value("ops") == Some("yes") {
        lines.push("ops".to_owned());
    }
    if let Some(fallback) = block.values.get("fallback") {
        let server = fallback.split_whitespace().next().unwrap_or_default();
        let port = block.virtual_.rsplit(':').next().unwrap_or_default();
        match endpoint(server).or_else(|| endpoint(&format!("{server}:{port}"))) {
            Some(server) => lines.push(format!("sorry_server {server}")),
            None => import.leave(&format!("fallback={fallback}"), "it names no address"),
        }
    }
    let mut servers = Vec::new();
    for real in &block.reals {
        match reals(real, &block.virtual_) {
            Some(found) => servers.extend(found),
            None => import.leave(&format!("real={real}"), "it names no server by its address"),
        }
    }
    for server in &mut servers {
        server.check = check(block, globals, &server.address, import);
        // It keeps a server that fails with weight 0, unless told otherwise.
        if value("quiescent") == Some("yes") {
            server.lines.push("inhibit_on_failure".to_owned());
        }
    }
    Ok(Service {
        address,
        protocol,
        lines,
        servers,
    })
}

/// `10.1.0.1[->10.1.0.9][:80] gate|masq|ipip [WEIGHT] ["REQUEST", "RECEIVE"]`.
fn reals(text: &str, service: &str) -> Option<Vec<Server>> {
    const RANGE_MAX: u32 = 256;
    let mut words = text.split_whitespace();
    let whom = words.next()?;
    let (from, to) = match whom.split_once("->") {
        Some((from, to)) => (from, Some(to)),
        None => (whom, None),
    };
    let tail = to.unwrap_or(from);
    let (last, port) = match tail.parse::<std::net::SocketAddr>() {
        Ok(at) => (at.ip(), at.port()),
        Err(_) => {
            let port = service
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok());
            let port = port.filter(|_| service.contains(':')).unwrap_or(0);
            (tail.parse().ok()?, port)
        }
    };
    let first = match to {
        Some(_) => from.parse().ok()?,
        None => last,
    };
    let all: Vec<std::net::IpAddr> = match (first, last) {
        (std::net::IpAddr::V4(first), std::net::IpAddr::V4(last)) => {
            let (first, last) = (u32::from(first), u32::from(last));
            if last < first || last - first >= RANGE_MAX {
                return None;
            }
            (first..=last)
                .map(|bits| std::net::Ipv4Addr::from(bits).into())
                .collect()
        }
        (first, last) if first == last => vec![first],
        _ => return None,
    };
    let method = match words.next() {
        Some("masq") => "NAT",
        Some("ipip") => "TUN",
        _ => "DR",
    };
    let weight = number(words.next());
    let servers = all.into_iter().map(|address| Server {
        address: format!("{address} {port}"),
        method,
        lines: weight
            .map(|weight| format!("weight {weight}"))
            .into_iter()
            .collect(),
        check: Vec::new(),
    });
    Some(servers.collect())
}

/// The lines of a check, as near as there is one.
fn check(
    block: &Block,
    globals: &BTreeMap<String, String>,
    server: &str,
    import: &mut Import,
) -> Vec<String> {
    let value = |key: &str| of(block, globals, key);
    let service = value("service").unwrap_or_else(|| by_port(&block.virtual_));
    let timeout = number(value("checktimeout")).or_else(|| number(value("negotiatetimeout")));
    let mut inner: Vec<String> = Vec::new();
    let keyword = match (value("checktype").unwrap_or("negotiate"), service) {
        ("negotiate", "http" | "https") => {
            inner.push("url {".to_owned());
            let path = value("request").unwrap_or("/").trim_start_matches('/');
            inner.push(format!("    path {}", quoted(&format!("/{path}"))));
            if let Some(receive) = value("receive") {
                inner.push(format!("    regex {}", quoted(receive)));
            } else {
                inner.push("    status_code 200".to_owned());
            }
            if let Some(host) = value("virtualhost") {
                inner.push(format!("    virtualhost {}", quoted(host)));
            }
            inner.push("}".to_owned());
            if service == "https" {
                "SSL_GET"
            } else {
                "HTTP_GET"
            }
        }
        ("negotiate", "smtp") => "SMTP_CHECK",
        ("negotiate", "dns") => {
            if let Some(name) = value("request") {
                inner.push(format!("name {}", quoted(name)));
            }
            "DNS_CHECK"
        }
        ("ping", _) => "PING_CHECK",
        ("off" | "on", _) => return Vec::new(),
        (kind @ ("external" | "external-perl"), _) => {
            let command = value("checkcommand").unwrap_or_default();
            if command.is_empty() || kind == "external-perl" {
                import.leave(&format!("checktype={kind}"), "write a MISC_CHECK");
                return Vec::new();
            }
            // It is told service and server, as ldirectord tells it.
            let service =
                endpoint(&block.virtual_).unwrap_or_else(|| format!("{} 0", block.virtual_));
            inner.push(format!(
                "misc_path {}",
                quoted(&format!("{command} {service} {server}"))
            ));
            let seconds = timeout.map(|seconds| format!("misc_timeout {seconds}"));
            inner.extend(seconds);
            return braced("MISC_CHECK", inner);
        }
        (kind, service) => {
            if kind == "negotiate" && !matches!(service, "none" | "simpletcp") {
                let why = "its servers are asked for a connection alone; see docs/checks.md for what asks more";
                import.leave(
                    &format!("service={service} of virtual={}", block.virtual_),
                    why,
                );
            }
            "TCP_CHECK"
        }
    };
    inner.extend(timeout.map(|seconds| format!("connect_timeout {seconds}")));
    braced(keyword, inner)
}

fn by_port(service: &str) -> &'static str {
    match service.rsplit(':').next() {
        Some("80") => "http",
        Some("443") => "https",
        Some("25") => "smtp",
        Some("53") => "dns",
        _ => "none",
    }
}

fn braced(keyword: &str, inner: Vec<String>) -> Vec<String> {
    let mut lines = vec![format!("{keyword} {{")];
    lines.extend(inner.into_iter().map(|line| format!("    {line}")));
    lines.push("}".to_owned());
    lines
}

/// One word of a configuration.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match text.bytes().all(plain) && !text.is_empty() {
        true => text.to_owned(),
        false => format!("\"{}\"", text.replace(['"', '\n'], " ")),
    }
}
