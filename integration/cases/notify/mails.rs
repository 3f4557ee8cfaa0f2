//! Mails, as a server gets them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::LIMIT;
use crate::cases::daemon::only_vipd;
use crate::cases::scene::{Lan, VIP};
use crate::lab::Lab;
use crate::lab::check::{Doing as _, Outcome, ensure, ensure_eq, wait_until};
use crate::lab::daemon::Kind;
use crate::lab::net::Host;

/// A mail as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Received {
    subject: String,
    /// The first line of the text.
    first: String,
    helo: String,
    from: String,
    to: Vec<String>,
    text: Vec<String>,
}

/// A mail server that keeps what it gets.
#[derive(Clone, Default)]
pub(super) struct PostOffice {
    mails: Arc<Mutex<Vec<Received>>>,
}

impl PostOffice {
    /// Opens it on a host; it stays open.
    pub(super) fn open(host: &Host, address: &str) -> Outcome<PostOffice> {
        let office = PostOffice::default();
        let listener = host
            .within(|| TcpListener::bind(address))?
            .doing("listen for mail")?;
        let mails = Arc::clone(&office.mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mails = Arc::clone(&mails);
                std::thread::spawn(move || {
                    if let Ok(mail) = receive(&stream) {
                        mails
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(mail);
                    }
                });
            }
        });
        Ok(office)
    }

    fn all(&self) -> Vec<Received> {
        let mails = self.mails.lock();
        mails.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wait(&self, count: usize, limit: Duration) -> Outcome {
        let what = format!("{count} mails have come");
        wait_until(what, limit, || Ok(self.all().len() >= count)).map(drop)
    }
}

fn receive(stream: &TcpStream) -> std::io::Result<Received> {
    let mut out = stream;
    let mut lines = BufReader::new(stream).lines();
    let mut next = || {
        lines
            .next()
            .unwrap_or_else(|| Err(std::io::Error::other("end")))
    };
    out.write_all(b"220-a small office\r\n220 ready\r\n")?;
    let mut mail = Received {
        subject: String::new(),
        first: String::new(),
        helo: String::new(),
        from: String::new(),
        to: Vec::new(),
        text: Vec::new(),
    };
    loop {
        let line = next()?;
        let (word, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
        match word {
            "HELO" => mail.helo = rest.to_owned(),
            "MAIL" => mail.from = rest.to_owned(),
            "RCPT" => mail.to.push(rest.to_owned()),
            "DATA" => break,
            _ => {}
        }
        out.write_all(b"250 well\r\n")?;
    }
    out.write_all(b"354 go on\r\n")?;
    let mut header = true;
    loop {
        let line = next()?;
        if line == "." {
            break;
        }
        if let Some(subject) = line.strip_prefix("Subject: ").filter(|_| header) {
            mail.subject = subject.to_owned();
        }
        if !header && !line.is_empty() {
            mail.text.push(line.clone());
        }
        header &= !line.is_empty();
    }
    mail.first = mail.text.first().cloned().unwrap_or_default();
    out.write_all(b"250 taken\r\n")?;
    if next().is_ok() {
        out.write_all(b"221 bye\r\n")?;
    }
    Ok(mail)
}

fn globals(more: &str) -> String {
    format!(
        "global_defs {{\n    router_id NODE\n    notification_email {{\n        one@x.example\n        \
         two@x.example\n    }}\n    notification_email_from here@x.example\n    \
         smtp_server 192.0.2.2 25\n    smtp_connect_timeout 5\n    smtp_helo_name me.example\n{more}}}\n"
    )
}

/// Each change on its own, beside keepalived.
pub(super) fn mails(lab: &Lab) -> Outcome {
    let reference = story(lab, Kind::Keepalived)?;
    let seen = story(lab, lab.subject())?;
    let strip = |mails: &[Received]| -> Vec<Received> {
        let mut mails = mails.to_vec();
        for mail in &mut mails {
            mail.text.clear();
        }
        mails.sort();
        mails
    };
    lab.note(format!("{:?}", strip(&reference)));
    ensure_eq!(strip(&seen), strip(&reference), "mails");
    let subjects: Vec<&str> = seen.iter().map(|mail| mail.subject.as_str()).collect();
    for subject in [
        "[NODE] VRRP Instance V - Entering MASTER state",
        "[NODE] Realserver [192.0.2.2]:tcp:8001 of virtual server [192.0.2.200]:tcp:8000 - DOWN",
    ] {
        ensure!(
            subjects.contains(&subject),
            "no {subject:?} in {subjects:?}"
        );
    }
    let reason = seen
        .iter()
        .any(|mail| mail.text.join("\n").contains("ECONNREFUSED"));
    ensure!(reason, "no mail says why the server is down: {seen:?}");
    Ok(())
}

fn story(lab: &Lab, kind: Kind) -> Outcome<Vec<Received>> {
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 2, kind)?;
    let office = PostOffice::open(&router.host, "192.0.2.2:25")?;
    let listen = || {
        router
            .host
            .within(|| TcpListener::bind("192.0.2.2:8001"))?
            .doing("listen")
    };
    let server = listen()?;
    let conf = format!(
        "{}vrrp_instance V {{\n    interface eth0\n    virtual_router_id 51\n    priority 100\n    \
         smtp_alert\n    virtual_ipaddress {{\n        {VIP}\n    }}\n}}\n\
         virtual_server 192.0.2.200 8000 {{\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    \
         lb_kind NAT\n    protocol TCP\n    smtp_alert\n    real_server 192.0.2.2 8001 {{\n        \
         TCP_CHECK {{\n            connect_timeout 2\n            retry 0\n        }}\n    }}\n    \
         real_server 192.0.2.2 8002 {{\n        weight 1\n    }}\n}}\n",
        globals("")
    );
    router.start(&conf)?;
    // The quorum, BACKUP and MASTER.
    wait_until("the VIP is there", LIMIT, || router.has_vip())?;
    office.wait(2, LIMIT)?;
    let settle = || std::thread::sleep(Duration::from_millis(2500));
    settle();
    drop(server);
    settle();
    settle();
    let listen = || {
        router
            .host
            .within(|| TcpListener::bind("192.0.2.2:8001"))?
            .doing("listen")
    };
    let _server = listen()?;
    settle();
    settle();
    let mails = office.all();
    let status = router.stop()?;
    ensure!(status.success(), "it ended with {status}");
    lan.net.demolish()?;
    Ok(separate(mails))
}

/// Each change as a mail of its own: vipd puts what happens within a second into one.
fn separate(mails: Vec<Received>) -> Vec<Received> {
    let mut separate = Vec::new();
    for mail in mails {
        let first_line = mail.text.first().cloned().unwrap_or_default();
        if first_line.starts_with("=>") {
            separate.push(mail);
            continue;
        }
        // A subject, and what is indented under it.
        for (at, subject) in mail.text.iter().enumerate() {
            let next = mail.text.get(at + 1);
            let Some(line) = next.filter(|_| !subject.starts_with(' ')) else {
                continue;
            };
            separate.push(Received {
                subject: format!("[NODE] {subject}"),
                first: line.trim().to_owned(),
                ..mail.clone()
            });
        }
    }
    separate
}

/// What has come, by its subjects, each change on its own.
pub(super) fn subjects(office: &PostOffice) -> Vec<String> {
    let mails = separate(office.all()).into_iter();
    mails.map(|mail| mail.subject).collect()
}

/// Many changes at once are one mail, a server that is down gets it later, and the last one goes out
/// before the end.
pub(super) fn mails_together(lab: &Lab) -> Outcome {
    only_vipd(lab)?;
    let lan = Lan::new(lab)?;
    let mut router = lan.router("router", 2, lab.subject())?;
    let many: String = (1..=10)
        .map(|n| {
            format!(
                "vrrp_instance V{n} {{\n    interface eth0\n    virtual_router_id {n}\n    \
                 virtual_ipaddress {{\n        10.9.0.{n}\n    }}\n}}\n"
            )
        })
        .collect();
    router.start(&format!("{}{many}", globals("    smtp_alert on\n")))?;
    let daemon = router.daemon()?;
    daemon.wait_log("next try in 5 s", 1, LIMIT)?;
    daemon.wait_log("Entering MASTER STATE", 10, LIMIT)?;
    let office = PostOffice::open(&router.host, "192.0.2.2:25")?;
    office.wait(2, LIMIT)?;
    for (mail, state) in office.all().iter().zip(["BACKUP", "MASTER"]) {
        let phrase = format!("Entering {state} state");
        ensure!(mail.subject.ends_with(&phrase), "{mail:?}");
        let told = mail.text.iter().filter(|line| line.ends_with(&phrase));
        ensure_eq!(told.count(), 10, "changes in {:?}", mail.text);
        ensure_eq!(mail.to.len(), 2, "recipients");
    }
    let status = router.stop()?;
    ensure!(status.success(), "it ended with {status}");
    let all = office.all();
    let last = all.last().map(|mail| mail.subject.clone());
    ensure_eq!(all.len(), 3, "mails in all");
    ensure_eq!(
        last.as_deref(),
        Some("[NODE] VRRP Instance V10 - Stopping"),
        "the last mail"
    );
    Ok(())
}
