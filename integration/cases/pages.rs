//! `HTTP_GET` and `SSL_GET` beside keepalived: real servers and wrong ones, and what is asked when.

mod bad;
mod rounds;

use std::fs;
use std::time::Duration;

use crate::lab::check::{Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::guest::vipd_path;
use crate::lab::net::{Host, Net};
use crate::lab::process::Process;
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "pages.nginx",
        proves: "HTTP_GET, SSL_GET and FILE_CHECK follow nginx and a file up and down as keepalived does, and \
             genhash prints the same digests",
        limit: Duration::from_secs(180),
        run: nginx,
    },
    Case {
        name: "pages.rounds",
        proves: "pages are asked for in keepalived's order and with its times, and the server comes and goes at \
             the same answer",
        limit: Duration::from_secs(180),
        run: rounds::run,
    },
    Case {
        name: "pages.bad_servers",
        proves: "silent, wrong, half, reset and endless answers take a server out or not as in keepalived, and \
             the log says why",
        limit: Duration::from_secs(180),
        run: bad::run,
    },
];

const SETTLED: Duration = Duration::from_secs(25);
/// Two checks: what has not changed for so long stays.
const CALM: Duration = Duration::from_secs(2);

/// A key that belongs to nobody, and its certificate.
const KEY: &str = include_str!("../../src/probe/http/test_key.pem");
/// MD5 of `hello`.
const DIGEST: &str = "5d41402abc4b2a76b9719d911017c592";

fn conf(dir: &str) -> String {
    let get =
        |more: &str| format!("HTTP_GET {{\n connect_port 8080\n connect_timeout 2\n {more} }}");
    let tls =
        |more: &str| format!("SSL_GET {{\n connect_port 8443\n connect_timeout 2\n {more} }}");
    let checks = [
        get("url {\n path /page\n }\n"),
        get(&format!(
            "url {{\n path /page\n status_code 200 404\n }}\n url {{\n path /digest\n digest {DIGEST}\n }}\n"
        )),
        get(
            "http_protocol 1.1\n url {\n path /page\n virtualhost pages.example.org\n regex \"na[m]e\\s*\"\n }\n",
        ),
        tls("url {\n path /page\n }\n"),
        tls(
            "enable_sni\n virtualhost pages.example.org\n http_protocol 1.1\n url {\n path /page\n regex named\n }\n",
        ),
        "FILE_CHECK {\n track_file out\n }".to_owned(),
        "FILE_CHECK {\n track_file out\n weight 3\n }".to_owned(),
        "MISC_CHECK {\n misc_path /no/such/script\n }".to_owned(),
    ];
    let mut text = format!(
        "global_defs {{\n script_user root\n}}\ntrack_file out {{\n file {dir}/out\n weight 0\n}}\n"
    );
    for (number, check) in checks.iter().enumerate() {
        text += &format!(
            "virtual_server 192.0.2.200 {} {{\n delay_loop 1\n delay_before_retry 1\n warmup 0\n lb_algo wlc\n \
             lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 8080 {{\n weight 5\n {check}\n }}\n}}\n",
            8001 + number
        );
    }
    text
}

struct Site {
    host: Host,
    daemon: Daemon,
    dir: String,
    nginx: Option<Process>,
}

impl Site {
    fn new(net: &Net<'_>, name: &str, kind: Kind) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let dir = host.dir().join(format!("{name}.www"));
        fs::create_dir_all(dir.join("named"))?;
        fs::write(dir.join("key.pem"), KEY)?;
        fs::write(dir.join("page"), "a page of nobody")?;
        fs::write(dir.join("named/page"), "a page that is named, has a name ")?;
        fs::write(dir.join("digest"), "hello")?;
        fs::write(dir.join("out"), "0")?;
        let dir = dir.display().to_string();
        fs::write(format!("{dir}/nginx.conf"), nginx_conf(&dir))?;
        let mut site = Self {
            daemon: Daemon::start(kind, &host, &conf(&dir))?,
            host,
            dir,
            nginx: None,
        };
        site.serve()?;
        Ok(site)
    }

    fn serve(&mut self) -> Outcome {
        let file = format!("{}/nginx.conf", self.dir);
        self.nginx = Some(self.host.spawn("nginx", &["nginx", "-c", &file])?);
        let listens = || {
            Ok(self
                .host
                .try_run(&["genhash", "-s", "192.0.2.1", "-p", "8080", "-u", "/page"])?
                .stdout
                .len()
                > 30)
        };
        wait_until("nginx listens", SETTLED, listens).map(drop)
    }

    fn write(&self, file: &str, text: &str) -> Outcome {
        Ok(fs::write(format!("{}/{file}", self.dir), text)?)
    }
}

fn nginx_conf(dir: &str) -> String {
    let ports = "listen 192.0.2.1:8080;\n listen 192.0.2.1:8443 ssl;";
    format!(
        "daemon off;\nmaster_process off;\nuser root;\npid {dir}/pid;\nerror_log {dir}/error.log;\n\
         events {{\n worker_connections 64;\n}}\nhttp {{\n access_log off;\n ssl_certificate {dir}/key.pem;\n \
         ssl_certificate_key {dir}/key.pem;\n client_body_temp_path {dir}/t1;\n proxy_temp_path {dir}/t2;\n \
         fastcgi_temp_path {dir}/t3;\n uwsgi_temp_path {dir}/t4;\n scgi_temp_path {dir}/t5;\n \
         server {{\n {ports}\n root {dir};\n }}\n \
         server {{\n {ports}\n server_name pages.example.org;\n root {dir}/named;\n }}\n}}\n"
    )
}

/// Something that is done to both sites, and how many servers keepalived has then.
type Step = (&'static str, usize, fn(&mut Site) -> Outcome);

const STEPS: &[Step] = &[
    ("all is well", 8, |_| Ok(())),
    ("nginx has stopped", 3, |site| {
        site.nginx = None;
        Ok(())
    }),
    ("nginx is back", 8, Site::serve),
    ("pages are gone, 404", 4, |site| {
        fs::remove_file(format!("{}/page", site.dir))?;
        Ok(fs::remove_file(format!("{}/named/page", site.dir))?)
    }),
    (
        "pages are back, one is another, and the file says 2",
        5,
        |site| {
            site.write("page", "again")?;
            site.write("named/page", "an anonymous page")?;
            site.write("out", "2")
        },
    ),
    ("all is as it was, and the file says -2", 7, |site| {
        site.write("named/page", "named, a name")?;
        site.write("out", "-2")
    }),
    ("a digest differs, and the file says 0", 7, |site| {
        site.write("digest", "goodbye")?;
        site.write("out", "0")
    }),
    ("all is well again", 8, |site| site.write("digest", "hello")),
];

fn nginx(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut reference = Site::new(&net, "keepalived", Kind::Keepalived)?;
    let mut subject = Site::new(&net, "subject", lab.subject())?;
    for (what, servers, act) in STEPS {
        act(&mut reference)?;
        act(&mut subject)?;
        let counted = || Ok(count(&reference.host.ipvs()?) == *servers);
        wait_until(
            format!("keepalived has {servers} servers: {what}"),
            SETTLED,
            counted,
        )?;
        std::thread::sleep(CALM);
        let expected = reference.host.ipvs()?;
        lab.note(format!("{what}: {} servers", count(&expected)));
        ensure_eq!(
            count(&expected),
            *servers,
            "keepalived's servers when {what}"
        );
        let same = || Ok(subject.host.ipvs()? == expected);
        if wait_until("the tables are equal", SETTLED, same).is_err() {
            ensure_eq!(subject.host.ipvs()?, expected, "the table when {what}");
        }
    }
    same_digests(lab, &subject.host)?;
    for site in [&mut reference, &mut subject] {
        let status = site.daemon.stop()?;
        ensure!(status.success(), "it stopped with {status}");
    }
    Ok(())
}

/// How many servers a table has.
fn count(table: &[String]) -> usize {
    table.iter().filter(|line| line.starts_with("-a")).count()
}

fn same_digests(lab: &Lab, host: &Host) -> Outcome {
    let vipd = vipd_path();
    for options in [
        "-s 192.0.2.1 -p 8080 -u /digest",
        "-s 192.0.2.1 -p 8080 -u /none",
        "-s 192.0.2.1 -p 8080 -u /page -V pages.example.org -P 1.1",
        "-S -s 192.0.2.1 -p 8443 -u /page -P 1.0c",
        "-S -I -s 192.0.2.1 -p 8443 -u /page -V pages.example.org -P 1.1 -t 5",
    ] {
        let said = |program: &[&str]| {
            let argv: Vec<&str> = program.iter().copied().chain(options.split(' ')).collect();
            host.run(&argv)
        };
        let expected = said(&["genhash"])?;
        ensure_eq!(
            said(&[&vipd, "genhash"])?,
            expected,
            "vipd genhash {options}"
        );
        lab.note(format!("genhash {options}: {}", expected.trim()));
    }
    Ok(())
}
