//! `SMTP_CHECK`: a mail server greets, takes our greeting, and says goodbye.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::config::model::{ConnectOptions, SmtpCheck};
use crate::wire::smtp::{Reply, reply};

use super::read::read;
use super::{ProbeError, tcp};

/// keepalived's name for itself.
const HELO_NAME: &str = "smtpchecker.keepalived.org";
/// A greeting of more than this is no greeting.
const REPLY_MAX: usize = 16 * 1024;

/// Every host in turn.
///
/// # Errors
/// One of them cannot be reached, is too slow at any step (`connect_timeout` each), or says no.
pub(super) async fn ask(check: &SmtpCheck) -> Result<(), ProbeError> {
    let name = check.helo_name.as_deref().unwrap_or(HELO_NAME);
    for host in &check.hosts {
        talk(host, name).await?;
    }
    Ok(())
}

async fn talk(host: &ConnectOptions, name: &str) -> Result<(), ProbeError> {
    let mut mail = Mail {
        host,
        stream: tcp::open(host).await?,
        heard: Vec::new(),
    };
    mail.expect("greeting", 220).await?;
    mail.say(&format!("HELO {name}\r\n")).await?;
    mail.expect("answer to HELO", 250).await?;
    mail.say("QUIT\r\n").await?;
    mail.expect("answer to QUIT", 221).await
}

struct Mail<'a> {
    host: &'a ConnectOptions,
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Mail<'_> {
    async fn say(&mut self, line: &str) -> Result<(), ProbeError> {
        let limit = self.host.connect_timeout;
        let write = self.stream.write_all(line.as_bytes());
        match tokio::time::timeout(limit, write).await {
            Ok(written) => written.map_err(ProbeError::talk("write")),
            Err(_) => Err(ProbeError::Timeout(limit)),
        }
    }

    async fn expect(&mut self, what: &str, wanted: u16) -> Result<(), ProbeError> {
        let limit = self.host.connect_timeout;
        let code = match tokio::time::timeout(limit, self.listen(what)).await {
            Ok(code) => code?,
            Err(_) => return Err(ProbeError::Timeout(limit)),
        };
        match code == wanted {
            true => Ok(()),
            false => Err(ProbeError::Answer(format!(
                "the {what} is {code}, not {wanted}"
            ))),
        }
    }

    async fn listen(&mut self, what: &str) -> Result<u16, ProbeError> {
        loop {
            match reply(&self.heard) {
                Reply::Code(code, length) => {
                    self.heard.drain(..length.min(self.heard.len()));
                    return Ok(code);
                }
                Reply::Unfinished if self.heard.len() < REPLY_MAX => {}
                Reply::Unfinished | Reply::Broken => {
                    return Err(ProbeError::Answer(format!("the {what} is not SMTP")));
                }
            }
            let before = self.heard.len();
            let heard = &mut self.heard;
            let read = read(&mut self.stream, |bytes| heard.extend(bytes)).await;
            read.map_err(ProbeError::talk("read"))?;
            if self.heard.len() == before {
                return Err(ProbeError::talk("read")(
                    io::ErrorKind::UnexpectedEof.into(),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{local, run};
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// Serves one client: each of these in answer to a line, the first at once.
    fn server(replies: &'static [&'static str]) -> SmtpCheck {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for reply in replies {
                stream.write_all(reply.as_bytes()).unwrap();
                let _ = lines.next();
            }
        });
        SmtpCheck {
            hosts: vec![local(address, Duration::from_millis(500))],
            helo_name: None,
        }
    }

    fn said(replies: &'static [&'static str]) -> String {
        run(ask(&server(replies))).unwrap_err().to_string()
    }

    #[test]
    fn a_server_that_greets_and_says_goodbye_is_well() {
        run(ask(&server(&[
            "220-hello\r\n220 there\r\n",
            "250 you\r\n",
            "221 bye\r\n",
        ])))
        .unwrap();
    }

    #[test]
    fn others_are_not_and_it_is_said_why() {
        assert_eq!(said(&["554 no\r\n"]), "the greeting is 554, not 220");
        assert_eq!(
            said(&["220 a\r\n", "550 who?\r\n"]),
            "the answer to HELO is 550, not 250"
        );
        assert_eq!(said(&["SSH-2.0-other\r\n"]), "the greeting is not SMTP");
        assert_eq!(said(&[""]), "no answer within 500ms");
        assert_eq!(said(&[]), "read: unexpected end of file");
        assert_eq!(said(&["220 a\r\n", "25"]), "no answer within 500ms");
    }

    #[test]
    fn an_answer_without_an_end_and_a_reset_are_failures() {
        let serve = |serve: fn(TcpStream)| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || serve(listener.accept().unwrap().0));
            let check = SmtpCheck {
                hosts: vec![local(address, Duration::from_secs(5))],
                helo_name: None,
            };
            run(ask(&check)).unwrap_err().to_string()
        };
        let endless = serve(|mut stream| while stream.write_all(b"220-and on\r\n").is_ok() {});
        assert_eq!(endless, "the greeting is not SMTP");
        let reset = serve(|mut stream| {
            stream.write_all(b"220-we").unwrap();
            let now = Some(Duration::ZERO);
            socket2::SockRef::from(&stream).set_linger(now).unwrap();
        });
        assert!(reset.contains("ECONNRESET"), "{reset}");
    }
}
