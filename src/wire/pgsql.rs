//! The protocol of PostgreSQL, version 3, as far as a check needs it: login (trust, password over TLS, md5,
//! SCRAM-SHA-256) and questions with answers as text (PostgreSQL manual, "Frontend/Backend Protocol").

mod scram;

use md5::{Digest as _, Md5};

use super::talk::{Conversation, Next, shown};

use scram::Scram;

/// The longest message of a server that is heard.
const MESSAGE_MAX: usize = 256 * 1024;
/// Values of one row, and their length, that are kept.
const VALUES_MAX: usize = 16;
const VALUE_MAX: usize = 256;
/// What asks for TLS, and what begins a session (the manual, "Message Formats").
const TLS_CODE: u32 = 80_877_103;
const VERSION: u32 = 196_608;

/// Who logs in, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// `user`.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<String>,
    /// The database.
    pub database: String,
    /// Whether TLS is used; `None`: if the server has it.
    pub tls: Option<bool>,
    /// Random, printable, without a comma; for SCRAM.
    pub nonce: String,
}

/// The first row of an answer, NULL as `None`; no row: nothing.
pub type Row = Vec<Option<String>>;

/// What a statement was answered; the error in words.
pub type Answered = Result<Row, String>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Begin,
    /// Whether the server has TLS.
    Offer,
    /// TLS begins, and the session follows.
    Start,
    Auth,
    /// SCRAM: the server's first, its last.
    Scram(Scram),
    /// The session is there once the server is ready.
    Settling,
    Answer,
}

/// `PGSQL_CHECK`.
#[derive(Clone, Debug)]
pub struct Asks {
    login: Login,
    step: Step,
    secure: bool,
    /// Still to be asked, the last first.
    statements: Vec<String>,
    answers: Vec<Answered>,
    row: Option<Row>,
}

impl Asks {
    /// Statements are asked in this order; what they were answered comes in the same.
    pub fn new(login: Login, mut statements: Vec<String>) -> Asks {
        statements.reverse();
        Asks {
            login,
            step: Step::Begin,
            secure: false,
            statements,
            answers: Vec::new(),
            row: None,
        }
    }

    fn start(&mut self, say: &mut Vec<u8>) {
        let mut body = VERSION.to_be_bytes().to_vec();
        let database = &self.login.database;
        for (name, value) in [
            ("user", self.login.user.as_str()),
            ("database", database),
            ("application_name", "vipd"),
        ] {
            body.extend(zeroed(name));
            body.extend(zeroed(value));
        }
        body.push(0);
        say.extend(framed(&body));
        self.step = Step::Auth;
    }

    fn offered(&mut self, byte: u8, say: &mut Vec<u8>) -> Result<Next<Vec<Answered>>, String> {
        match (byte, self.login.tls) {
            (b'S', _) => {
                self.step = Step::Start;
                Ok(Next::Secure)
            }
            (b'N', Some(true)) => Err("the server does not offer TLS".to_owned()),
            (b'N', _) => {
                self.start(say);
                Ok(Next::More)
            }
            _ => Err("the answer is not PostgreSQL".to_owned()),
        }
    }

    fn message(
        &mut self,
        kind: u8,
        body: &[u8],
        say: &mut Vec<u8>,
    ) -> Result<Next<Vec<Answered>>, String> {
        match (kind, std::mem::replace(&mut self.step, Step::Begin)) {
            // Notices and settings come at any time.
            (b'N' | b'S' | b'A', step) => self.step = step,
            (b'E', Step::Answer) => {
                self.answers.push(Err(error(body)));
                self.row = None;
                self.step = Step::Settling;
            }
            (b'E', _) => return Err(error(body)),
            (b'R', step) => self.auth(body, step, say)?,
            (b'K', Step::Settling) => self.step = Step::Settling,
            (b'Z', Step::Settling) => return Ok(self.ask(say)),
            (b'T' | b'I', Step::Answer) => self.step = Step::Answer,
            (b'D', Step::Answer) => {
                if self.row.is_none() {
                    self.row = Some(row(body).ok_or_else(wrong)?);
                }
                self.step = Step::Answer;
            }
            (b'C', Step::Answer) => {
                self.answers.push(Ok(self.row.take().unwrap_or_default()));
                self.step = Step::Settling;
            }
            _ => return Err(wrong()),
        }
        Ok(Next::More)
    }

    /// The next statement, or the end.
    fn ask(&mut self, say: &mut Vec<u8>) -> Next<Vec<Answered>> {
        let Some(statement) = self.statements.pop() else {
            say.extend(message(b'X', &[]));
            return Next::Over(std::mem::take(&mut self.answers));
        };
        say.extend(message(b'Q', &zeroed(&statement)));
        self.step = Step::Answer;
        Next::More
    }

    fn auth(&mut self, body: &[u8], step: Step, say: &mut Vec<u8>) -> Result<(), String> {
        let (code, rest) = body.split_first_chunk::<4>().ok_or_else(wrong)?;
        let password = self.login.password.as_deref();
        let needed = || password.ok_or("the server wants a password".to_owned());
        self.step = match (u32::from_be_bytes(*code), step) {
            (0, Step::Auth) => Step::Settling,
            (0, Step::Scram(scram)) if scram.is_proved() => Step::Settling,
            (3, Step::Auth) if self.secure => {
                say.extend(message(b'p', &zeroed(needed()?)));
                Step::Auth
            }
            (3, Step::Auth) => {
                let why = "the server wants the password in the clear, which is told over TLS alone: use \
                           `tls on`";
                return Err(why.to_owned());
            }
            (5, Step::Auth) => {
                let salt = rest.first_chunk::<4>().ok_or_else(wrong)?;
                let proof = md5_proof(&self.login.user, needed()?, *salt);
                say.extend(message(b'p', &zeroed(&proof)));
                Step::Auth
            }
            (10, Step::Auth) => {
                let mut names = rest.split(|b| *b == 0);
                if !names.any(|name| name == b"SCRAM-SHA-256") {
                    return Err("the server wants a login that vipd does not know".to_owned());
                }
                let scram = Scram::new(needed()?, &self.login.nonce);
                let first = scram.first();
                let mut body = zeroed("SCRAM-SHA-256");
                body.extend(u32::try_from(first.len()).unwrap_or(0).to_be_bytes());
                body.extend(first.as_bytes());
                say.extend(message(b'p', &body));
                Step::Scram(scram)
            }
            (11, Step::Scram(mut scram)) => {
                let answer = scram.answer(rest)?;
                say.extend(message(b'p', answer.as_bytes()));
                Step::Scram(scram)
            }
            (12, Step::Scram(mut scram)) => {
                scram.check(rest)?;
                Step::Scram(scram)
            }
            (_, Step::Auth) => {
                return Err("the server wants a login that vipd does not know".to_owned());
            }
            _ => return Err(wrong()),
        };
        Ok(())
    }
}

impl Conversation for Asks {
    type Found = Vec<Answered>;

    fn hear(
        &mut self,
        heard: &mut Vec<u8>,
        say: &mut Vec<u8>,
    ) -> Result<Next<Vec<Answered>>, String> {
        match &self.step {
            Step::Begin if self.login.tls == Some(false) => self.start(say),
            Step::Begin => {
                say.extend(framed(&TLS_CODE.to_be_bytes()));
                self.step = Step::Offer;
            }
            Step::Start => {
                self.secure = true;
                self.start(say);
            }
            _ => {}
        }
        if self.step == Step::Offer {
            let Some(byte) = heard.first().copied() else {
                return Ok(Next::More);
            };
            heard.remove(0);
            let next = self.offered(byte, say)?;
            if next != Next::More {
                return Ok(next);
            }
        }
        let mut at = 0;
        let mut next = Next::More;
        while let Some((kind, body, length)) = take(heard.get(at..).unwrap_or_default())? {
            next = self.message(kind, body, say)?;
            at += length;
            if next != Next::More {
                break;
            }
        }
        heard.drain(..at.min(heard.len()));
        Ok(next)
    }
}

/// Kind of a message, what it says, and its length in all.
type Message<'a> = (u8, &'a [u8], usize);

/// The message at the front; `None`: it is not whole.
fn take(bytes: &[u8]) -> Result<Option<Message<'_>>, String> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !b"RSKZTDCENAI".contains(&kind) {
        return Err(wrong());
    }
    let Some(length) = rest.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if !(4..=MESSAGE_MAX).contains(&length) {
        return Err(wrong());
    }
    let body = rest.get(4..length);
    Ok(body.map(|body| (kind, body, 1 + length)))
}

fn wrong() -> String {
    "the answer is not what PostgreSQL says".to_owned()
}

/// Length, then what is said.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(4);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(framed(body));
    bytes
}

/// A text with a zero behind it and none within.
fn zeroed(text: &str) -> Vec<u8> {
    let text = text.bytes().filter(|b| *b != 0);
    text.chain([0]).collect()
}

/// Code and sentence of an error.
fn error(body: &[u8]) -> String {
    let fields = body.split(|b| *b == 0);
    let (mut code, mut text) = (String::new(), String::new());
    for field in fields {
        match field.split_first() {
            Some((b'C', rest)) => code = shown(rest),
            Some((b'M', rest)) => text = shown(rest),
            _ => {}
        }
    }
    format!("error {code}: {text}")
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Row::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        let value = match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => None,
            Ok(length) => {
                let (value, behind) = rest.split_at_checked(length)?;
                rest = behind;
                Some(shown(value.get(..length.min(VALUE_MAX))?))
            }
        };
        if row.len() < VALUES_MAX {
            row.push(value);
        }
    }
    Some(row)
}

/// `md5` and the sum of the sum of password and user, and the salt.
fn md5_proof(user: &str, password: &str, salt: [u8; 4]) -> String {
    let hex = |parts: &[&[u8]]| {
        let mut sum = Md5::new();
        parts.iter().for_each(|part| sum.update(part));
        let sum = sum.finalize();
        sum.iter().map(|b| format!("{b:02x}")).collect::<String>()
    };
    let inner = hex(&[password.as_bytes(), user.as_bytes()]);
    format!("md5{}", hex(&[inner.as_bytes(), &salt]))
}

#[cfg(test)]
mod tests;
