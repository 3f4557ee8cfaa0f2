//! Checks beside keepalived: the same servers, well, silent and wrong, and the same table.

mod from_where;

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lab::check::{Doing, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::{Daemon, Kind};
use crate::lab::net::{Host, Net};
use crate::lab::{Case, Lab};

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "checks.commands",
        proves: "MISC_CHECK takes servers out and, with misc_dynamic, weighs them as keepalived does",
        limit: Duration::from_secs(120),
        run: commands,
    },
    Case {
        name: "checks.same_as_keepalived",
        proves: "UDP_CHECK, DNS_CHECK, SMTP_CHECK and PING_CHECK find servers that are well, silent, wrong and \
             gone as keepalived does",
        limit: Duration::from_secs(150),
        run: same_as_keepalived,
    },
    Case {
        name: "checks.from_where",
        proves: "connect_ip, connect_port, bindto, bind_port, bind_if and fwmark choose whom a check asks and from \
                 where, as the server sees it from keepalived, too",
        limit: Duration::from_secs(90),
        run: from_where::run,
    },
];

const SETTLED: Duration = Duration::from_secs(20);
const CALM: Duration = Duration::from_secs(4);

/// Checks, each on the port of its server.
const CHECKS: &[(u16, &str)] = &[
    (
        8001,
        "UDP_CHECK {\n payload 68656c6c6f\n require_reply 61XX63\n connect_timeout 1\n }",
    ),
    (8002, "UDP_CHECK {\n connect_timeout 1\n }"),
    (
        8053,
        "DNS_CHECK {\n type A\n name www.example.org\n connect_timeout 1\n retry 0\n delay_before_retry 1\n }",
    ),
    (
        8025,
        "SMTP_CHECK {\n connect_port 8025\n connect_timeout 1\n helo_name lab.example.org\n }",
    ),
    (
        8099,
        "PING_CHECK {\n connect_ip 192.0.2.77\n connect_timeout 1\n }",
    ),
];

fn conf() -> String {
    let mut text = String::new();
    for (port, check) in CHECKS {
        text += &format!("virtual_server 192.0.2.200 {port} {{\n");
        text += " delay_loop 1\n warmup 0\n retry 0\n lb_algo wlc\n lb_kind NAT\n protocol TCP\n";
        text += &format!(" real_server 192.0.2.1 {port} {{\n {check}\n }}\n}}\n");
    }
    text
}

/// How the servers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Silent,
    Wrong,
}

impl Mood {
    fn of(number: u8) -> Mood {
        match number {
            0 => Mood::Well,
            1 => Mood::Silent,
            _ => Mood::Wrong,
        }
    }
}

/// Servers of each kind on one host.
struct Servers {
    mood: Arc<AtomicU8>,
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    fn start(host: &Host) -> Outcome<Self> {
        let mut servers = Self {
            mood: Arc::default(),
            ended: Arc::default(),
            threads: Vec::new(),
        };
        let bind = |port| host.within(move || UdpSocket::bind(("192.0.2.1", port)));
        servers.datagrams(bind(8001)?.doing("bind 8001")?, |mood, _| match mood {
            Mood::Wrong => b"xyz".to_vec(),
            _ => b"abc".to_vec(),
        })?;
        // Nobody says a word here: only a closed port would be a failure.
        servers.datagrams(bind(8002)?.doing("bind 8002")?, |_, _| Vec::new())?;
        servers.datagrams(bind(8053)?.doing("bind 8053")?, |mood, question| {
            let mut answer = question.to_vec();
            if let Some(flags) = answer.get_mut(2..4) {
                flags.copy_from_slice(&[0x81, if mood == Mood::Wrong { 0x82 } else { 0x80 }]);
            }
            answer
        })?;
        let listen = || TcpListener::bind("192.0.2.1:8025");
        servers.mail(host.within(listen)?.doing("listen on 8025")?)?;
        Ok(servers)
    }

    fn datagrams(
        &mut self,
        socket: UdpSocket,
        answer: impl Fn(Mood, &[u8]) -> Vec<u8> + Send + 'static,
    ) -> Outcome {
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (mood, ended) = (Arc::clone(&self.mood), Arc::clone(&self.ended));
        self.threads.push(std::thread::spawn(move || {
            let mut bytes = [0; 600];
            while !ended.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else {
                    continue;
                };
                let mood = Mood::of(mood.load(Ordering::SeqCst));
                let reply = answer(mood, &bytes[..length]);
                if mood != Mood::Silent && !reply.is_empty() {
                    let _ = socket.send_to(&reply, from);
                }
            }
        }));
        Ok(())
    }

    fn mail(&mut self, listener: TcpListener) -> Outcome {
        listener.set_nonblocking(true)?;
        let (mood, ended) = (Arc::clone(&self.mood), Arc::clone(&self.ended));
        self.threads.push(std::thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let _ = serve(stream, Mood::of(mood.load(Ordering::SeqCst)));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Err(_) => return,
                }
            }
        }));
        Ok(())
    }

    fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    fn stop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(mut stream: TcpStream, mood: Mood) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    if mood == Mood::Silent {
        std::thread::sleep(Duration::from_millis(1500));
        return Ok(());
    }
    stream.write_all(b"220 here\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let reply: &[u8] = match (line.split(' ').next(), mood) {
            (Some("QUIT"), _) => b"221 bye\r\n",
            (_, Mood::Wrong) => b"550 go away\r\n",
            _ => b"250 hello\r\n",
        };
        stream.write_all(reply)?;
    }
    Ok(())
}

struct Site {
    host: Host,
    daemon: Daemon,
    servers: Option<Servers>,
}

impl Site {
    fn new(net: &Net<'_>, name: &str, kind: Kind) -> Outcome<Self> {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24", "192.0.2.77/24"])?;
        let servers = Some(Servers::start(&host)?);
        let daemon = Daemon::start(kind, &host, &conf())?;
        Ok(Self {
            host,
            daemon,
            servers,
        })
    }

    /// Ports whose server is in the pool, once that has not changed for a while.
    fn settled(&self) -> Outcome<Vec<String>> {
        let mut last = self.host.ipvs()?;
        for _ in 0..5 {
            std::thread::sleep(CALM);
            let now = self.host.ipvs()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }
}

/// Something that is done to both sites.
type Step = (&'static str, usize, fn(&mut Site) -> Outcome);

const STEPS: &[Step] = &[
    ("all are well", 5, |_| Ok(())),
    ("all are silent", 2, |site| {
        site.servers.iter().for_each(|s| s.set(Mood::Silent));
        Ok(())
    }),
    ("all are well again", 5, |site| {
        site.servers.iter().for_each(|s| s.set(Mood::Well));
        Ok(())
    }),
    ("all answer wrongly", 2, |site| {
        site.servers.iter().for_each(|s| s.set(Mood::Wrong));
        Ok(())
    }),
    ("all are gone", 0, |site| {
        site.servers = None;
        site.host.ip("addr del 192.0.2.77/24 dev eth0\n")
    }),
    ("all are back", 5, |site| {
        site.servers = Some(Servers::start(&site.host)?);
        site.host.ip("addr add 192.0.2.77/24 dev eth0\n")
    }),
];

fn same_as_keepalived(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut reference = Site::new(&net, "keepalived", Kind::Keepalived)?;
    let mut subject = Site::new(&net, "subject", lab.subject())?;
    for (what, servers, act) in STEPS {
        act(&mut reference)?;
        act(&mut subject)?;
        let expected = reference.settled()?;
        lab.note(format!(
            "{what}: {} servers",
            expected.len().saturating_sub(CHECKS.len())
        ));
        let same = || Ok(subject.host.ipvs()? == expected);
        if wait_until("the tables are equal", SETTLED, same).is_err() {
            ensure_eq!(subject.host.ipvs()?, expected, "the table when {what}");
        }
        ensure_eq!(
            expected.len(),
            CHECKS.len() + servers,
            "keepalived's servers when {what}"
        );
    }
    for site in [&mut reference, &mut subject] {
        let status = site.daemon.stop()?;
        ensure!(status.success(), "it stopped with {status}");
    }
    Ok(())
}

/// Exit statuses of the command, one after the other: well, failed, and several weights.
const STATUSES: [u8; 8] = [0, 1, 0, 4, 0, 2, 255, 3];

fn commands(lab: &Lab) -> Outcome {
    let net = Net::new(lab)?;
    let mut sites = Vec::new();
    for (name, kind) in [("keepalived", Kind::Keepalived), ("subject", lab.subject())] {
        let lan = net.segment(&format!("{name}-l"))?;
        let host = net.host(name)?;
        net.plug(&host, "eth0", &lan, &["192.0.2.1/24"])?;
        let status = lab.dir().join(format!("{name}.status"));
        std::fs::write(&status, "0")?;
        let mut conf = "global_defs {\n script_user root\n}\n".to_owned();
        for (port, how) in [(8001, "misc_dynamic"), (8002, "")] {
            let read = format!("/bin/sh -c 'exit $(cat {})'", status.display());
            conf += &format!(
                "virtual_server 192.0.2.200 {port} {{\n delay_loop 1\n warmup 0\n lb_algo wlc\n \
                 lb_kind NAT\n protocol TCP\n real_server 192.0.2.1 {port} {{\n weight 5\n \
                 MISC_CHECK {{\n misc_path \"{read}\"\n misc_timeout 3\n {how}\n }}\n }}\n}}\n"
            );
        }
        sites.push((Daemon::start(kind, &host, &conf)?, host, status));
    }
    let mut seen = Vec::new();
    for code in STATUSES {
        for (_, _, status) in &sites {
            std::fs::write(status, code.to_string())?;
        }
        std::thread::sleep(CALM);
        let [(_, reference, _), (_, subject, _)] = &sites[..] else {
            return Err(crate::lab::check::Failure::failed("two sites"));
        };
        let expected = reference.ipvs()?;
        let same = || Ok(subject.ipvs()? == expected);
        if wait_until("the tables are equal", SETTLED, same).is_err() {
            ensure_eq!(
                subject.ipvs()?,
                expected,
                "the table with exit status {code}"
            );
        }
        let weights = expected.iter().filter_map(|line| line.split(" -w ").nth(1));
        seen.push(format!("{code}: {}", weights.collect::<Vec<_>>().join(" ")));
    }
    lab.note(seen.join(", "));
    ensure!(
        seen[1] == "1: ",
        "a failed command takes both out: {seen:?}"
    );
    for (mut daemon, _, _) in sites {
        daemon.stop()?;
    }
    Ok(())
}
