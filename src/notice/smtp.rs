//! The client's side of SMTP (RFC 5321): what to say next to what the server said. No socket.

use std::fmt;

use super::mail::encode_body;

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
    /// What came is no answer of SMTP.
    Nonsense,
    /// The connection ended before the message was taken.
    Closed,
}

impl SmtpError {
    /// Whether another try is in vain.
    pub fn is_permanent(&self) -> bool {
        matches!(self, SmtpError::Refused { code, .. } if *code >= 500)
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
    /// It is over: the message was taken; these recipients were refused, each with the answer.
    Taken(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    Helo,
    From,
    /// The recipient of this number.
    To(usize),
    Data,
    Body,
    Quit,
}

/// One conversation.
#[derive(Debug)]
pub struct Dialogue {
    envelope: Envelope,
    step: Step,
    reply: Vec<u8>,
    refused: Vec<String>,
}

impl Dialogue {
    /// A conversation that begins with the server's greeting.
    pub fn new(envelope: Envelope) -> Dialogue {
        Dialogue {
            envelope,
            step: Step::Greeting,
            reply: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether the server has taken the message: what comes now does not matter.
    pub fn is_taken(&self) -> bool {
        self.step == Step::Quit
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
            Some((code, text)) => {
                self.reply.clear();
                self.answer(code, text)
            }
        }
    }

    fn answer(&mut self, code: u16, text: String) -> Result<Next, SmtpError> {
        let (command, expected) = match self.step {
            Step::Greeting => ("the connection", 220),
            Step::Helo => ("HELO", 250),
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
            text,
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
            _ => {}
        }
        let line = self.advance();
        Ok(Next::Say(line))
    }

    fn advance(&mut self) -> Vec<u8> {
        let to = |at: usize| self.envelope.to.get(at).map(|to| mailbox(to));
        let (step, line) = match self.step {
            Step::Greeting => (Step::Helo, format!("HELO {}", word(&self.envelope.helo))),
            Step::Helo => (
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

/// The code and text of a reply of one or more lines; `None` while it is not whole.
fn whole_reply(bytes: &[u8]) -> Result<Option<(u16, String)>, SmtpError> {
    let mut text = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Ok(None);
        };
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        let Some(code) = code.filter(|code| (200..600).contains(code)) else {
            return Err(SmtpError::Nonsense);
        };
        if !text.is_empty() {
            text.push(' ');
        }
        let rest = line.get(4..).unwrap_or_default();
        text.extend(rest.chars().filter(|c| !c.is_control()));
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(Some((code, text)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
