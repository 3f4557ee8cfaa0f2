//! `vipd import`: from the files of other programs to a configuration.

mod ipvsadm;
mod ldirectord;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::errno::Words;

/// Make a configuration of what another program was told
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The result goes to standard output. What has no counterpart stands in it as a comment that begins with
`# not taken over`, and is said on standard error.

Exit status: 0 everything was taken over, 1 not everything was, 2 the file cannot be read.

Examples:
  vipd import ldirectord /etc/ha.d/ldirectord.cf > vipd.conf
  ipvsadm -Sn | vipd import ipvsadm - > vipd.conf")]
pub struct ImportArgs {
    /// Whose file it is
    #[arg(value_enum)]
    from: From,

    /// The file; -: standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Programs whose files are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// ldirectord.cf
    Ldirectord,
    /// What ipvsadm -S or ipvsadm-save prints
    Ipvsadm,
}

/// A configuration that is being made.
#[derive(Debug, Default)]
struct Import {
    services: Vec<Service>,
    /// What could not be taken over: the line and why.
    left: Vec<String>,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Service {
    /// `192.0.2.1 80`, `fwmark 3`.
    address: String,
    /// TCP, UDP or SCTP; of a mark none.
    protocol: Option<&'static str>,
    /// Lines within it, without those of its servers.
    lines: Vec<String>,
    servers: Vec<Server>,
}

/// One of its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Server {
    /// Address and port, by a blank.
    address: String,
    /// NAT, DR or TUN.
    method: &'static str,
    lines: Vec<String>,
    /// Lines of its check.
    check: Vec<String>,
}

/// Runs the command.
pub(super) fn run(args: &ImportArgs) -> ExitCode {
    let text = match read(&args.file) {
        Ok(text) => text,
        Err(error) => {
            super::say(&format!("read {}: {}", args.file.display(), Words(&error)));
            return ExitCode::from(2);
        }
    };
    let import = match args.from {
        From::Ldirectord => ldirectord::read(&text),
        From::Ipvsadm => ipvsadm::read(&text),
    };
    let _ = std::io::stdout().write_all(import.text().as_bytes());
    for line in &import.left {
        super::say(&format!("not taken over: {line}"));
    }
    ExitCode::from(u8::from(!import.left.is_empty()))
}

fn read(path: &std::path::Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Import {
    /// As a configuration.
    fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.left {
            let _ = writeln!(out, "# not taken over: {line}");
        }
        for service in &self.services {
            let _ = write!(out, "\nvirtual_server {} {{\n", service.address);
            // The method of a service is that of most of its servers.
            let count = |method: &str| {
                service
                    .servers
                    .iter()
                    .filter(|s| s.method == method)
                    .count()
            };
            let methods = ["NAT", "DR", "TUN"];
            let most = methods.into_iter().rev().max_by_key(|method| count(method));
            let most = most.unwrap_or("NAT");
            let lines = service.lines.iter().map(String::as_str);
            for line in lines.chain([format!("lb_kind {most}").as_str()]) {
                let _ = writeln!(out, "    {line}");
            }
            if let Some(protocol) = service.protocol {
                let _ = writeln!(out, "    protocol {protocol}");
            }
            for server in &service.servers {
                let _ = write!(out, "\n    real_server {} {{\n", server.address);
                if server.method != most {
                    let _ = writeln!(out, "        lvs_method {}", server.method);
                }
                for line in server.lines.iter().chain(&server.check) {
                    let _ = writeln!(out, "        {line}");
                }
                out += "    }\n";
            }
            out += "}\n";
        }
        out
    }

    fn leave(&mut self, line: &str, why: &str) {
        self.left.push(format!("{}: {why}", line.trim()));
    }
}

/// `192.0.2.1:80`, `[2001:db8::1]:80` as keepalived.conf has it; a name cannot stand there.
fn endpoint(text: &str) -> Option<String> {
    let at: std::net::SocketAddr = text.parse().ok()?;
    Some(format!("{} {}", at.ip(), at.port()))
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
            true
        }

        fn glob(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
            Ok(Vec::new())
        }
    }

    /// The configuration, which nothing is to be said against.
    fn good(import: &Import) -> String {
        let text = import.text();
        let loaded = load(
            Path::new("vipd.conf"),
            &One(text.clone()),
            &Options::default(),
        );
        let said = loaded.render(Style::Plain);
        assert!(!loaded.has_errors(), "{text}\n{said}");
        text
    }

    #[test]
    fn what_ipvsadm_saves_becomes_a_configuration() {
        let saved = "-A -t 192.0.2.1:80 -s wlc -p 300 -M 255.255.255.0\n\
                     -a -t 192.0.2.1:80 -r 10.1.0.1:8080 -m -w 3\n\
                     -a -t 192.0.2.1:80 -r 10.1.0.2:80 -g -w 0 -x 100 -y 50\n\
                     -a -t 192.0.2.1:80 -r 10.1.0.3:80 -g -w 1\n\
                     -A -u [2001:db8::1]:53 -s sh -b sh-port,sh-fallback -o\n\
                     -a -u [2001:db8::1]:53 -r [2001:db8::2]:53 -i -w 1\n\
                     -A -f 7 -s rr --pe sip\n-a -f 7 -r 10.1.0.4:0 -m -w 1\n\
                     -A -t web.example:http -s rr\n-Z\n";
        let import = ipvsadm::read(saved);
        let text = good(&import);
        for part in [
            "virtual_server 192.0.2.1 80 {\n    lb_algo wlc\n    persistence_timeout 300\n    \
             persistence_granularity 255.255.255.0\n    lb_kind DR\n    protocol TCP\n\n    real_server 10.1.0.1 \
             8080 {\n        lvs_method NAT\n        weight 3\n    }\n",
            "real_server 10.1.0.2 80 {\n        weight 0\n        uthreshold 100\n        lthreshold 50\n    }\n",
            "virtual_server 2001:db8::1 53 {\n    lb_algo sh\n    sh-port\n    sh-fallback\n    ops\n    lb_kind \
             TUN\n    protocol UDP\n",
            "virtual_server fwmark 7 {\n    lb_algo rr\n    persistence_engine sip\n    lb_kind NAT\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        assert_eq!(import.left.len(), 2, "{:?}", import.left);
        assert!(
            text.starts_with("# not taken over: -A -t web.example:http -s rr: "),
            "{text}"
        );
    }

    #[test]
    fn what_ldirectord_is_told_becomes_a_configuration() {
        let file = "checktimeout=3\ncheckinterval=5\nautoreload=yes\nquiescent=no\nemailalert=\"ops@example.org\"\n\n\
                    virtual=192.0.2.1:80\n\
                    \treal=10.1.0.1:80 gate 5\n\treal=10.1.0.2->10.1.0.3:80 masq\n\tfallback=127.0.0.1:80 gate\n\
                    \tservice=http\n\tscheduler=wlc\n\tpersistent=600\n\tnetmask=255.255.255.255\n\tprotocol=tcp\n\
                    \trequest=\"alive.html\"\n\treceive=\"I'm alive\"\n\tchecktype=negotiate\n\n\
                    virtual=192.0.2.1:3306\n  real=10.1.0.1:3306 masq\n  checktype=connect\n  scheduler=rr\n\
                    virtual=7\n real=10.1.0.1 gate\n checktype=ping\n protocol=fwm\n\
                    virtual=192.0.2.1:53\n real=10.1.0.1:53 ipip\n protocol=udp\n checktype=external\n \
                    checkcommand=/usr/local/bin/dns\n";
        let import = ldirectord::read(file);
        let text = good(&import);
        for part in [
            "virtual_server 192.0.2.1 80 {\n    delay_loop 5\n    lb_algo wlc\n    persistence_timeout 600\n",
            "    sorry_server 127.0.0.1 80\n",
            "real_server 10.1.0.1 80 {\n        lvs_method DR\n        weight 5\n        HTTP_GET {\n            url {\n                path \
             /alive.html\n                regex \"I'm alive\"\n            }\n            connect_timeout 3\n        }\n    }\n",
            "    real_server 10.1.0.3 80 {\n",
            "    real_server 10.1.0.1 3306 {\n        TCP_CHECK {\n            connect_timeout 3\n        }\n    }\n",
            "virtual_server fwmark 7 {\n",
            "        PING_CHECK {\n",
            "        MISC_CHECK {\n            misc_path \"/usr/local/bin/dns 192.0.2.1 53 10.1.0.1 53\"\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
        let left = import.left.join("\n");
        assert!(
            left.contains("autoreload=yes") && left.contains("emailalert"),
            "{left}"
        );
    }

    #[test]
    fn rubbish_is_left_out_and_said() {
        for text in [
            "virtual=\nreal=x\n",
            "-A\n-a -t 1.2.3.4:5 -r\n",
            "\u{0}\u{fffd}=\n",
            "-a -t 1.2.3.4:5 -r 1.2.3.4:5 -m",
        ] {
            for import in [ldirectord::read(text), ipvsadm::read(text)] {
                assert!(!import.left.is_empty(), "{text:?}");
                good(&import);
            }
        }
    }
}
