//! RESP2, the protocol of Redis (and Valkey, KeyDB), as far as a check needs it: AUTH, PING, ROLE.

use super::talk::{Conversation, Next, shown};

/// How deep arrays may stand in arrays, how many things one may have, and how long a string may be. What
/// ROLE says of a master has three of each replica.
const DEPTH_MAX: u8 = 4;
const ITEMS_MAX: usize = 4096;
const TEXT_MAX: usize = 4096;
/// The longest first line: type, then a number or a sentence.
const LINE_MAX: usize = 4096;

/// What the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// `master`.
    Master,
    /// `slave`.
    Replica {
        /// How its link to the master is: `connect`, `connecting`, `sync`, `connected`.
        link: String,
    },
    /// Anything else, such as `sentinel`.
    Other(String),
}

/// A server that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pong {
    /// What it is, where that was asked.
    pub part: Option<Part>,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    Text(Vec<u8>),
    Error(Vec<u8>),
    Number,
    Null,
    List(Vec<Reply>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Auth,
    Pong,
    Role,
}

/// `REDIS_CHECK`: all is asked at once, and answered in order.
#[derive(Clone, Debug)]
pub struct Asks {
    question: Vec<u8>,
    waits: Vec<Waits>,
}

impl Asks {
    /// `password`: with it AUTH comes first, of this user (ACL, Redis 6) or the only one.
    pub fn new(user: Option<&str>, password: Option<&str>, role: bool) -> Asks {
        let mut question = Vec::new();
        let mut waits = Vec::new();
        if let Some(password) = password {
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
            question.extend(command(&words));
            waits.push(Waits::Auth);
        }
        question.extend(command(&["PING"]));
        waits.push(Waits::Pong);
        if role {
            question.extend(command(&["ROLE"]));
            waits.push(Waits::Role);
        }
        waits.reverse();
        Asks { question, waits }
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

impl Conversation for Asks {
    type Found = Pong;

    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>) -> Result<Next<Pong>, String> {
        say.append(&mut self.question);
        while let Some((reply, length)) = reply(heard, 0)? {
            heard.drain(..length.min(heard.len()));
            let what = match self.waits.last() {
                Some(Waits::Auth) => "AUTH",
                Some(Waits::Role) => "ROLE",
                Some(Waits::Pong) | None => "PING",
            };
            if let Reply::Error(text) = &reply {
                return Err(format!("{what}: {}", shown(text)));
            }
            match (self.waits.pop(), &reply) {
                (Some(Waits::Auth), Reply::Text(text)) if text == b"OK" => {}
                (Some(Waits::Pong), Reply::Text(text)) if text == b"PONG" => {
                    if self.waits.is_empty() {
                        return Ok(Next::Over(Pong::default()));
                    }
                }
                (Some(Waits::Role), Reply::List(items)) => {
                    let part = Some(part(items)?);
                    return Ok(Next::Over(Pong { part }));
                }
                _ => return Err(format!("the answer to {what} is not what Redis says")),
            }
        }
        Ok(Next::More)
    }
}

/// `ROLE`: its first word, and of a replica the fourth.
fn part(items: &[Reply]) -> Result<Part, String> {
    let text = |at: usize| match items.get(at) {
        Some(Reply::Text(text)) => Some(shown(text)),
        _ => None,
    };
    match text(0).as_deref() {
        Some("master") => Ok(Part::Master),
        Some("slave") => Ok(Part::Replica {
            link: text(3).unwrap_or_default(),
        }),
        Some(other) => Ok(Part::Other(other.to_owned())),
        None => Err("the answer to ROLE is not what Redis says".to_owned()),
    }
}

/// The reply at the front and its length; `None`: it is not whole yet.
fn reply(bytes: &[u8], depth: u8) -> Result<Option<(Reply, usize)>, String> {
    let wrong = || {
        let start = bytes.get(..bytes.len().min(20)).unwrap_or_default();
        format!("the answer is not Redis, it begins with `{}`", shown(start))
    };
    let Some((&kind, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if !b"+-:$*".contains(&kind) || depth > DEPTH_MAX {
        return Err(wrong());
    }
    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
        return match rest.len() > LINE_MAX {
            true => Err(wrong()),
            false => Ok(None),
        };
    };
    if end > LINE_MAX {
        return Err(wrong());
    }
    let line = rest.get(..end).unwrap_or_default();
    let rest = rest.get(end + 2..).unwrap_or_default();
    let head = end + 3;
    let number = || {
        let text = std::str::from_utf8(line).ok();
        text.and_then(|text| text.parse::<i64>().ok())
            .ok_or_else(wrong)
    };
    match kind {
        b'+' => Ok(Some((Reply::Text(line.to_vec()), head))),
        b'-' => Ok(Some((Reply::Error(line.to_vec()), head))),
        b':' => number().map(|_| Some((Reply::Number, head))),
        b'$' => {
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Some((Reply::Null, head)));
            };
            if length > TEXT_MAX {
                return Err(wrong());
            }
            Ok(match (rest.get(..length), rest.get(length..length + 2)) {
                (Some(text), Some(b"\r\n")) => {
                    Some((Reply::Text(text.to_vec()), head + length + 2))
                }
                (Some(_), Some(_)) => return Err(wrong()),
                _ => None,
            })
        }
        _ => {
            let Ok(count) = usize::try_from(number()?) else {
                return Ok(Some((Reply::Null, head)));
            };
            if count > ITEMS_MAX {
                return Err(wrong());
            }
            let mut items = Vec::new();
            let mut at = 0;
            for _ in 0..count {
                match reply(rest.get(at..).unwrap_or_default(), depth + 1)? {
                    Some((item, length)) => {
                        items.push(item);
                        at += length;
                    }
                    None => return Ok(None),
                }
            }
            Ok(Some((Reply::List(items), head + at)))
        }
    }
}

#[cfg(test)]
mod tests;
