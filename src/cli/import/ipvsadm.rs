//! What `ipvsadm -S` prints (ipvsadm(8)): a command on each line.

use super::{Import, Server, Service, endpoint};

/// What is understood of it.
pub(super) fn read(text: &str) -> Import {
    let mut import = Import::default();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let done = match words.next() {
            Some("-A" | "--add-service") => {
                service(words).map(|service| import.services.push(service))
            }
            Some("-a" | "--add-server") => server(words).and_then(|(of, server)| {
                let mut all = import.services.iter_mut();
                let found = all.find(|service| {
                    (service.address.as_str(), service.protocol)
                        == (of.address.as_str(), of.protocol)
                });
                let service = found.ok_or("its service was not taken over")?;
                service.servers.push(server);
                Ok(())
            }),
            _ => Err("it adds neither a service nor a server"),
        };
        if let Err(why) = done {
            import.leave(line, why);
        }
    }
    import
}

type Words<'a> = std::str::SplitWhitespace<'a>;

/// `-t 192.0.2.1:80`: which service is meant, if this flag says so.
fn which(flag: &str, words: &mut Words<'_>) -> Option<Result<Service, &'static str>> {
    let protocol = match flag {
        "-t" | "--tcp-service" => Some("TCP"),
        "-u" | "--udp-service" => Some("UDP"),
        "--sctp-service" => Some("SCTP"),
        "-f" | "--fwmark-service" => None,
        _ => return None,
    };
    let value = words.next().unwrap_or_default();
    let address = match protocol {
        Some(_) => endpoint(value).ok_or("it names no address and port: save it with -n"),
        None => match value.parse::<u32>() {
            Ok(mark) if mark > 0 => Ok(format!("fwmark {mark}")),
            _ => Err("that is no mark"),
        },
    };
    Some(address.map(|address| Service {
        address,
        protocol,
        ..Service::default()
    }))
}

fn service(mut words: Words<'_>) -> Result<Service, &'static str> {
    let mut service = None;
    let mut lines = vec!["lb_algo wlc".to_owned()];
    while let Some(flag) = words.next() {
        if let Some(found) = which(flag, &mut words) {
            service = Some(found?);
            continue;
        }
        let mut value = || {
            words
                .next()
                .filter(|word| plain(word))
                .ok_or("a value is missing")
        };
        match flag {
            "-s" | "--scheduler" => lines[0] = format!("lb_algo {}", value()?),
            "-p" | "--persistent" => {
                // Without a number it is 300 s.
                let time = words
                    .clone()
                    .next()
                    .and_then(|word| word.parse::<u32>().ok());
                if time.is_some() {
                    words.next();
                }
                lines.push(format!("persistence_timeout {}", time.unwrap_or(300)));
            }
            "-M" | "--netmask" => lines.push(format!("persistence_granularity {}", value()?)),
            "--pe" => lines.push(format!("persistence_engine {}", value()?)),
            "-b" | "--sched-flags" => {
                let flags = value()?.split(',');
                lines.extend(flags.filter(|flag| known(flag)).map(str::to_owned));
            }
            "-o" | "--ops" => lines.push("ops".to_owned()),
            "-6" | "--ipv6" => lines.push("ip_family inet6".to_owned()),
            _ => return Err("a flag of it has no counterpart"),
        }
    }
    let service: Service = service.ok_or("it names no service")?;
    Ok(Service { lines, ..service })
}

/// Flags of schedulers that the configuration has by the same name.
fn known(flag: &str) -> bool {
    matches!(
        flag,
        "flag-1" | "flag-2" | "flag-3" | "sh-port" | "sh-fallback" | "mh-port" | "mh-fallback"
    )
}

/// Nothing that would mean something else in a configuration.
fn plain(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".:,_-/".contains(&byte))
}

fn server(mut words: Words<'_>) -> Result<(Service, Server), &'static str> {
    let mut service = None;
    let mut server = Server {
        method: "DR",
        ..Server::default()
    };
    while let Some(flag) = words.next() {
        if let Some(found) = which(flag, &mut words) {
            service = Some(found?);
            continue;
        }
        let mut number = || {
            let word = words.next().unwrap_or_default();
            word.parse::<u32>().map_err(|_| "a number is missing")
        };
        match flag {
            "-r" | "--real-server" => {
                let value = words.next().unwrap_or_default();
                server.address = endpoint(value)
                    .ok_or("it names no server by address and port: save it with -n")?;
            }
            "-m" | "--masquerading" => server.method = "NAT",
            "-g" | "--gatewaying" => server.method = "DR",
            "-i" | "--ipip" => server.method = "TUN",
            "-w" | "--weight" => server.lines.push(format!("weight {}", number()?)),
            "-x" | "--u-threshold" => server.lines.push(format!("uthreshold {}", number()?)),
            "-y" | "--l-threshold" => server.lines.push(format!("lthreshold {}", number()?)),
            _ => return Err("a flag of it has no counterpart"),
        }
    }
    if server.address.is_empty() {
        return Err("it names no server");
    }
    Ok((service.ok_or("it names no service")?, server))
}
