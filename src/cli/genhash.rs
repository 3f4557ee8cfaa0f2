//! `vipd genhash`: the digest of a page, as `digest` of HTTP_GET and SSL_GET wants it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser};
use md5::{Digest as _, Md5};

use crate::config::model::{ConnectOptions, HttpCheck, HttpProtocol, HttpScheme, HttpUrl};
use crate::health::hex;
use crate::kernel::clock;
use crate::net::{Endpoint, FwMark};
use crate::probe::{Kit, http};
use crate::wire::http::Part;

use super::say;

/// keepalived waits for so long (2^32 µs) where no time is given.
const TIMEOUT_MAX: Duration = Duration::from_micros(u32::MAX as u64);

/// How it is called by the name `genhash`, or as `vipd --genhash`.
#[derive(Debug, Parser)]
#[command(
    name = "genhash",
    about = "Print the MD5 digest of a page, for `digest` of HTTP_GET and SSL_GET"
)]
pub(super) struct Genhash {
    #[command(flatten)]
    pub(super) args: GenhashArgs,
}

/// keepalived's options.
#[derive(Clone, Debug, Args)]
pub struct GenhashArgs {
    /// Ask over TLS; the certificate is not looked at
    #[arg(short = 'S', long = "use-ssl")]
    tls: bool,

    /// Tell the server the name of -V while TLS is set up (SNI)
    #[arg(short = 'I', long = "use-sni")]
    sni: bool,

    /// Address of the server
    #[arg(short = 's', long = "server", value_name = "ADDRESS")]
    server: IpAddr,

    /// Its port
    #[arg(short = 'p', long = "port", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Path of the page
    #[arg(short = 'u', long = "url", value_name = "PATH")]
    path: String,

    /// Host of the request
    #[arg(short = 'V', long = "use-virtualhost", value_name = "HOST")]
    virtualhost: Option<String>,

    /// Version of HTTP: 1.0, 1.0c (with `Connection: close`), 1.1
    #[arg(short = 'P', long = "protocol", value_name = "VERSION", value_parser = protocol, default_value = "1.0")]
    protocol: HttpProtocol,

    /// Seconds that a step may take
    #[arg(short = 't', long = "timeout", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// Mark of the packets
    #[arg(short = 'm', long = "fwmark", value_name = "MARK")]
    mark: Option<u32>,

    /// Print what the server sends, too
    #[arg(short = 'v', long = "verbose")]
    verbose: bool,
}

fn protocol(text: &str) -> Result<HttpProtocol, String> {
    match text {
        "1.0" => Ok(HttpProtocol::V1_0),
        "1.0c" | "1.0C" => Ok(HttpProtocol::V1_0Close),
        "1.1" => Ok(HttpProtocol::V1_1),
        _ => Err("not one of 1.0, 1.0c, 1.1".to_owned()),
    }
}

impl GenhashArgs {
    fn check(&self) -> HttpCheck {
        HttpCheck {
            scheme: match self.tls {
                true => HttpScheme::Https,
                false => HttpScheme::Http,
            },
            connect: ConnectOptions {
                destination: Endpoint::new(self.server, self.port),
                bind_to: None,
                bind_port: 0,
                bind_if: None,
                mark: self.mark.and_then(FwMark::new),
                connect_timeout: self
                    .timeout
                    .map_or(TIMEOUT_MAX, |seconds| Duration::from_secs(seconds.into())),
            },
            protocol: self.protocol,
            virtualhost: self.virtualhost.clone(),
            enable_sni: self.sni,
            sni_name: None,
            fast_recovery: false,
            tls_compliant: false,
            certificate: None,
            urls: vec![HttpUrl::new(&self.path)].into(),
        }
    }
}

/// Prints the digest; whatever the page's status is, as keepalived's does.
pub(super) fn run(args: &GenhashArgs) -> ExitCode {
    let check = args.check();
    let started = clock::now();
    let mut digest = Md5::new();
    let mut text = String::new();
    let mut in_body = false;
    let mut sink = |part: Part<'_>| {
        if let Part::Body(bytes) = part {
            digest.update(bytes);
        }
        if args.verbose {
            show(part, &mut in_body, &mut text);
            print(&std::mem::take(&mut text));
        }
    };
    match fetch(&check, &mut sink) {
        Ok(Some(_)) => {}
        Ok(None) => {
            say("the server closed the connection without an answer");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    }
    let digest: [u8; 16] = digest.finalize().into();
    let mut text = String::new();
    if args.verbose {
        text += &format!("\n{}", rule("   HTML hash resulting    "));
        dump(&digest, &mut text);
        text += &rule("HTML hash final resulting ");
    }
    let _ = writeln!(text, "{}", hex(&digest));
    if args.verbose {
        let took = clock::now().since(started).as_micros();
        let _ = writeln!(
            text,
            "\nGlobal response time for [{}] = {took} usecs",
            args.path
        );
    }
    print(&text);
    ExitCode::SUCCESS
}

/// The status of the answer.
fn fetch(check: &HttpCheck, sink: &mut dyn FnMut(Part<'_>)) -> Result<Option<u16>, String> {
    let kit = Kit::for_check(check)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("start: {error}"))?;
    let Some(url) = check.urls.first() else {
        return Ok(None);
    };
    let got = runtime.block_on(http::get(&kit, check, url, sink));
    got.map(|got| got.status).map_err(|error| error.to_string())
}

fn show(part: Part<'_>, in_body: &mut bool, text: &mut String) {
    match part {
        Part::Head(bytes) => {
            *text += &rule("   HTTP Header Buffer    ");
            dump(bytes, text);
            *text += &rule("HTTP Header Ascii Buffer ");
            let _ = writeln!(text, "{}", String::from_utf8_lossy(bytes));
        }
        Part::Body(bytes) => {
            if !std::mem::replace(in_body, true) {
                *text += &rule("       HTML Buffer        ");
            }
            dump(bytes, text);
        }
        Part::Wire(_) => {}
    }
}

/// keepalived's lines between the parts.
fn rule(title: &str) -> String {
    format!("-----------------------[ {title}]-----------------------\n")
}

/// Sixteen bytes a line: offset, hexadecimal, and what can be read of it.
fn dump(bytes: &[u8], text: &mut String) {
    for (number, line) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:04} ", (number * 16) & 0xffff);
        for at in 0..16 {
            match line.get(at) {
                Some(byte) => drop(write!(text, " {byte:02x}")),
                None => *text += "   ",
            }
            if at == 7 {
                *text += " -";
            }
        }
        *text += "   ";
        for at in 0..16 {
            text.push(match line.get(at) {
                Some(byte @ 0x20..=0x7e) => char::from(*byte),
                Some(_) => '.',
                None => ' ',
            });
        }
        *text += "\n";
    }
}

/// To standard output, where nobody may be listening.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_keepalived_shows_them() {
        let mut text = String::new();
        dump(b"GET / HTTP/1.0\r\nabc", &mut text);
        assert_eq!(
            text,
            "0000  47 45 54 20 2f 20 48 54 - 54 50 2f 31 2e 30 0d 0a   GET / HTTP/1.0..\n\
             0016  61 62 63                -                           abc             \n"
        );
        assert_eq!(
            rule("   HTML hash resulting    "),
            "-----------------------[    HTML hash resulting    ]-----------------------\n"
        );
    }

    #[test]
    fn keepalived_s_options_are_understood() {
        let line =
            "genhash -S -I -s 2001:db8::1 -p 443 -u /a -V www.example.org -P 1.0c -t 3 -m 7 -v";
        let args = Genhash::try_parse_from(line.split(' ')).unwrap().args;
        let check = args.check();
        assert_eq!(check.scheme, HttpScheme::Https);
        assert_eq!(check.protocol, HttpProtocol::V1_0Close);
        assert_eq!(check.connect.connect_timeout, Duration::from_secs(3));
        assert_eq!(check.connect.mark, FwMark::new(7));
        assert!(check.enable_sni && args.verbose);
        for bad in [
            "genhash -s name -p 80 -u /",
            "genhash -s ::1 -p 0 -u /",
            "genhash -s ::1 -p 80",
        ] {
            assert!(Genhash::try_parse_from(bad.split(' ')).is_err(), "{bad}");
        }
    }
}
