//! The client's side of SMTP (RFC 5321): what to say next to what the server said. No socket.

use std::fmt;

use super::mail::{base64, encode_body};

/// Bytes of the longest answer that is read; RFC 5321 section 4.5.3.1.5 has 512 for a line.
const REPLY_MAX: usize = 16 * 1024;

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The name we give ourselves.
    pub helo: String,
    /// The sender's address, as configured: `NAME <ADDRESS>` or `ADDRESS`.
    pub from: String,
    /// The recipients', in the same forms.
    pub to: Vec<String>,
    /// Header lines, an empty line and the text; each line ends with a newline.
    pub message: String,
}

/// Who we are to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// What proves it.
    pub password: String,
}

/// Without the password: what is printed for debugging lands in logs.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmtpError {
    /// The server's answer.
    Refused {
        /// To what.
        command: &'static str,
        /// Its code: 4xx means that it may take it later, 5xx that it never will.
        code: u16,
        /// Its words.
        text: String,
    },
    /// It does not offer what we must have.
    Lacks(&'static str),
    /// What came is no answer of SMTP.
    Nonsense,
    /// The connection ended before the message was taken.
    Closed,
}

impl SmtpError {
    /// Whether another try is in vain. How we come to be heard is set up by people, who may mend it.
    pub fn is_permanent(&self) -> bool {
        match self {
            SmtpError::Refused { command, code, .. } => {
                *code >= 500 && !matches!(*command, "EHLO" | "STARTTLS" | "AUTH")
            }
            SmtpError::Lacks(_) | SmtpError::Nonsense | SmtpError::Closed => false,
        }
    }
}

impl fmt::Display for SmtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SmtpError::Refused {
                command,
                code,
                text,
            } => write!(f, "the server answers {command} with {code} {text}"),
            SmtpError::Lacks(what) => write!(f, "the server does not offer {what}"),
            SmtpError::Nonsense => f.write_str("the server does not speak SMTP"),
            SmtpError::Closed => f.write_str("the server closed the connection too early"),
        }
    }
}

impl std::error::Error for SmtpError {}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The server has not said all.
    Wait,
    /// Say this.
    Say(Vec<u8>),
    /// Begin TLS, then say what [`Dialogue::encrypted`] gives.
    Encrypt,
    /// It is over: the message was taken; these recipients were refused, each with the answer.
    Taken(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Hello,
    StartTls,
    Auth(Auth),
    From,
    /// The recipient of this number.
    To(usize),
    Data,
    Body,
    Quit,
}

/// What the server has to answer to while we log in (RFC 4954).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    /// `AUTH LOGIN`, with which it asks for the name.
    Login,
    /// The name, with which it asks for the password.
    User,
    /// The password, or all of `AUTH PLAIN`.
    Secret,
}

/// One conversation.
#[derive(Debug)]
pub struct Dialogue {
    envelope: Envelope,
    /// STARTTLS is still to be said.
    starttls: bool,
    login: Option<Login>,
    step: Step,
    reply: Vec<u8>,
    refused: Vec<String>,
}

impl Dialogue {
    /// A conversation that begins with the server's greeting. `starttls`: it goes on encrypted or not at
    /// all; `login`: nor does it without that.
    pub fn new(envelope: Envelope, starttls: bool, login: Option<Login>) -> Dialogue {
        Dialogue {
            envelope,
            starttls,
            login,
            step: Step::Greeting,
            reply: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether the server has taken the message: what comes now does not matter.
    pub fn is_taken(&self) -> bool {
        self.step == Step::Quit
    }

    /// TLS has begun; what to say to begin again.
    pub fn encrypted(&mut self) -> Vec<u8> {
        self.starttls = false;
        // What came in the clear is not believed (RFC 3207 section 4.2).
        self.reply.clear();
        self.hello()
    }

    /// Takes in what the server said; empty when it closed the connection.
    ///
    /// # Errors
    /// The message was not taken.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Next, SmtpError> {
        if bytes.is_empty() {
            // It was taken before: a farewell does not matter.
            return match self.step {
                Step::Quit => Ok(Next::Taken(std::mem::take(&mut self.refused))),
                _ => Err(SmtpError::Closed),
            };
        }
        self.reply.extend_from_slice(bytes);
        if self.reply.len() > REPLY_MAX {
            return Err(SmtpError::Nonsense);
        }
        match whole_reply(&self.reply)? {
            None => Ok(Next::Wait),
            Some((code, lines)) => {
                self.reply.clear();
                self.answer(code, &lines)
            }
        }
    }

    fn answer(&mut self, code: u16, lines: &[String]) -> Result<Next, SmtpError> {
        let (command, expected) = match self.step {
            Step::Greeting => ("the connection", 220),
            Step::Hello if self.is_extended() => ("EHLO", 250),
            Step::Hello => ("HELO", 250),
            Step::StartTls => ("STARTTLS", 220),
            Step::Auth(Auth::Login | Auth::User) => ("AUTH", 334),
            Step::Auth(Auth::Secret) => ("AUTH", 235),
            Step::From => ("MAIL FROM", 250),
            Step::To(_) => ("RCPT TO", 250),
            Step::Data => ("DATA", 354),
            Step::Body => ("the message", 250),
            Step::Quit => return Ok(Next::Taken(std::mem::take(&mut self.refused))),
        };
        // 251: it will forward.
        let taken = code == expected || (code == 251 && expected == 250);
        let refusal = SmtpError::Refused {
            command,
            code,
            text: lines.join(" "),
        };
        match self.step {
            Step::To(at) => {
                if !taken {
                    let whom = self.envelope.to.get(at).cloned().unwrap_or_default();
                    self.refused.push(format!("{whom}: {refusal}"));
                }
                let last = at + 1 >= self.envelope.to.len();
                if last && self.refused.len() >= self.envelope.to.len() {
                    return Err(refusal);
                }
            }
            _ if !taken => return Err(refusal),
            Step::StartTls => return Ok(Next::Encrypt),
            Step::Hello if self.is_extended() => {
                return self.demand(lines).map(Next::Say);
            }
            _ => {}
        }
        let line = self.advance();
        Ok(Next::Say(line))
    }

    /// Whether what the server offers has to be known.
    fn is_extended(&self) -> bool {
        self.starttls || self.login.is_some()
    }

    fn hello(&mut self) -> Vec<u8> {
        self.step = Step::Hello;
        let verb = if self.is_extended() { "EHLO" } else { "HELO" };
        format!("{verb} {}\r\n", word(&self.envelope.helo)).into_bytes()
    }

    /// Encryption first, then the login, of what the server offers in its answer to EHLO.
    fn demand(&mut self, lines: &[String]) -> Result<Vec<u8>, SmtpError> {
        let offers = lines.iter().skip(1).map(|line| line.to_ascii_uppercase());
        let offers: Vec<String> = offers.collect();
        if self.starttls {
            if !offers.iter().any(|offer| offer.trim() == "STARTTLS") {
                return Err(SmtpError::Lacks("STARTTLS"));
            }
            self.step = Step::StartTls;
            return Ok(b"STARTTLS\r\n".to_vec());
        }
        let ways: Vec<&str> = offers
            .iter()
            .filter_map(|offer| offer.strip_prefix("AUTH")?.strip_prefix([' ', '=']))
            .flat_map(str::split_whitespace)
            .collect();
        let login = self.login.as_ref();
        let plain = login.filter(|_| ways.contains(&"PLAIN"));
        let (step, line) = match plain {
            Some(login) => {
                let secret = format!("\0{}\0{}", login.user, login.password);
                let line = format!("AUTH PLAIN {}\r\n", base64(secret.as_bytes()));
                (Auth::Secret, line)
            }
            None if ways.contains(&"LOGIN") => (Auth::Login, "AUTH LOGIN\r\n".to_owned()),
            None => return Err(SmtpError::Lacks("AUTH PLAIN or AUTH LOGIN")),
        };
        self.step = Step::Auth(step);
        Ok(line.into_bytes())
    }

    fn advance(&mut self) -> Vec<u8> {
        let to = |at: usize| self.envelope.to.get(at).map(|to| mailbox(to));
        let secret = |of: fn(&Login) -> &str| {
            let login = self.login.as_ref();
            base64(login.map_or("", of).as_bytes())
        };
        let (step, line) = match self.step {
            Step::Greeting => return self.hello(),
            Step::StartTls => return self.encrypted(),
            Step::Auth(Auth::Login) => (Step::Auth(Auth::User), secret(|login| &login.user)),
            Step::Auth(Auth::User) => (Step::Auth(Auth::Secret), secret(|login| &login.password)),
            Step::Hello | Step::Auth(Auth::Secret) => (
                Step::From,
                format!("MAIL FROM:{}", mailbox(&self.envelope.from)),
            ),
            Step::From => (
                Step::To(0),
                format!("RCPT TO:{}", to(0).unwrap_or_default()),
            ),
            Step::To(at) => match to(at + 1) {
                Some(next) => (Step::To(at + 1), format!("RCPT TO:{next}")),
                None => (Step::Data, "DATA".to_owned()),
            },
            Step::Data => {
                self.step = Step::Body;
                return encode_body(&self.envelope.message);
            }
            Step::Body | Step::Quit => (Step::Quit, "QUIT".to_owned()),
        };
        self.step = step;
        format!("{line}\r\n").into_bytes()
    }
}

/// `<ADDRESS>` of `NAME <ADDRESS>` or `ADDRESS`.
fn mailbox(text: &str) -> String {
    let inner = match (text.rfind('<'), text.ends_with('>')) {
        (Some(at), true) => text.get(at + 1..text.len() - 1).unwrap_or_default(),
        _ => text,
    };
    format!("<{}>", word(inner))
}

/// Without what would end the line or the word.
fn word(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>'))
        .collect()
}

/// The code and the words of a reply of one or more lines; `None` while it is not whole.
fn whole_reply(bytes: &[u8]) -> Result<Option<(u16, Vec<String>)>, SmtpError> {
    let mut words = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code.filter(|code| (200..600).contains(code)) else {
            return Err(SmtpError::Nonsense);
        };
        let rest = line.get(4..).unwrap_or_default();
        words.push(rest.chars().filter(|c| !c.is_control()).collect());
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(Some((code, words)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
