//! The protocol of MySQL and MariaDB, as far as a check needs it: login, and questions with answers as text
//! (MySQL internals manual, "Client/Server Protocol": handshake v10, protocol 4.1).

mod packet;
mod scramble;

use std::collections::BTreeMap;

use super::talk::{Conversation, Next, shown};

use packet::{Reader, packet, promised, take};
use scramble::{Plugin, answer};

/// Names and values that are kept of all answers.
const FACTS_MAX: usize = 256;
/// Links of one replica that are looked at.
const LINKS_MAX: usize = 64;
/// The longest greeting.
const GREETING_MAX: usize = 4096;
/// Columns of one answer.
const COLUMNS_MAX: u64 = 1024;

/// Capability flags (the same manual).
const LONG_PASSWORD: u32 = 1;
const WITH_DATABASE: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// utf8_general_ci, which every server knows.
const CHARSET: u8 = 33;
/// The largest packet that we take.
const PACKET_MAX: u32 = 1 << 20;
const COM_QUIT: u8 = 1;
const COM_QUERY: u8 = 3;

/// What is asked once the login is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Of these system variables the values.
    pub variables: Vec<&'static str>,
    /// Of these status variables the values.
    pub status: Vec<&'static str>,
    /// How replication does.
    pub replication: bool,
    /// Any statement; that it is answered is all.
    pub query: Option<String>,
}

/// Who logs in, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// `user`.
    pub user: String,
    /// Its password; empty: none.
    pub password: String,
    /// The schema, if one is wanted.
    pub database: Option<String>,
    /// Whether TLS is used; `None`: if the server has it.
    pub tls: Option<bool>,
}

/// What a server said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Variables by their name in small letters.
    pub facts: BTreeMap<String, String>,
    /// The links of a replica; none: it is not one. `None`: not asked.
    pub links: Option<Vec<Link>>,
    /// Why `query` failed, if it did.
    pub refused: Option<String>,
}

/// How a replica follows one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether it reads, as the server says it.
    pub io: String,
    /// Whether it carries out what it read.
    pub sql: String,
    /// Seconds behind; `None`: the server does not know.
    pub behind: Option<u64>,
}

/// What the answer under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Facts,
    Links,
    Query,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Greeting,
    /// TLS begins, and the login follows.
    Login {
        scramble: Vec<u8>,
        plugin: Plugin,
        sequence: u8,
    },
    Auth {
        scramble: Vec<u8>,
        plugin: Plugin,
    },
    /// An answer begins.
    Answer(Topic),
    Columns {
        topic: Topic,
        left: u64,
        names: Vec<String>,
    },
    Rows {
        topic: Topic,
        names: Vec<String>,
    },
}

/// `MYSQL_CHECK`.
#[derive(Clone, Debug)]
pub struct Asks {
    login: Login,
    questions: Vec<(Topic, String)>,
    step: Step,
    secure: bool,
    asks_replication: bool,
    query: Option<String>,
    report: Report,
}

impl Asks {
    /// From the greeting on.
    pub fn new(login: Login, questions: Questions) -> Asks {
        let show = |what: &str, names: &[&str]| {
            let list = names.join("','");
            let text = format!("SHOW GLOBAL {what} WHERE Variable_name IN ('{list}')");
            (!names.is_empty()).then_some((Topic::Facts, text))
        };
        let variables = show("VARIABLES", &questions.variables);
        let status = show("STATUS", &questions.status);
        Asks {
            login,
            questions: variables.into_iter().chain(status).collect(),
            step: Step::Greeting,
            secure: false,
            asks_replication: questions.replication,
            query: questions.query,
            report: Report::default(),
        }
    }

    fn greeted(&mut self, bytes: &[u8], say: &mut Vec<u8>) -> Result<Next<Report>, String> {
        let greeting = Greeting::read(bytes)?;
        if std::mem::take(&mut self.asks_replication) {
            let text = replication_statement(&greeting.version).to_owned();
            self.questions.push((Topic::Links, text));
        }
        let query = self.query.take().map(|text| (Topic::Query, text));
        self.questions.extend(query);
        self.questions.reverse();
        let Greeting {
            scramble, plugin, ..
        } = greeting;
        let offers = greeting.capabilities & TLS != 0;
        match (self.login.tls, offers) {
            (Some(false), _) | (None, false) => self.log_in(scramble, plugin, 1, say),
            (Some(true), false) => Err("the server does not offer TLS".to_owned()),
            (_, true) => {
                let mut body = self.start(TLS);
                body.truncate(32);
                say.extend(packet(1, &body));
                let sequence = 2;
                self.step = Step::Login {
                    scramble,
                    plugin,
                    sequence,
                };
                Ok(Next::Secure)
            }
        }
    }

    /// The part that a request for TLS and a login have in common.
    fn start(&self, more: u32) -> Vec<u8> {
        let mut flags =
            LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | PLUGIN_AUTH;
        flags |= more;
        if self.login.database.is_some() {
            flags |= WITH_DATABASE;
        }
        let mut body = Vec::new();
        body.extend(flags.to_le_bytes());
        body.extend(PACKET_MAX.to_le_bytes());
        body.push(CHARSET);
        body.extend([0; 23]);
        body
    }

    fn log_in(
        &mut self,
        scramble: Vec<u8>,
        plugin: Plugin,
        sequence: u8,
        say: &mut Vec<u8>,
    ) -> Result<Next<Report>, String> {
        // A server whose own way we do not know is asked to offer another.
        let plugin = match plugin {
            Plugin::Other(_) => Plugin::Native,
            plugin => plugin,
        };
        let mut body = self.start(if self.secure { TLS } else { 0 });
        body.extend(without_end(&self.login.user));
        body.push(0);
        let proof = answer(&plugin, &self.login.password, &scramble);
        body.push(u8::try_from(proof.len()).unwrap_or(0));
        body.extend(&proof);
        if let Some(database) = &self.login.database {
            body.extend(without_end(database));
            body.push(0);
        }
        body.extend(plugin.name().as_bytes());
        body.push(0);
        say.extend(packet(sequence, &body));
        self.step = Step::Auth { scramble, plugin };
        Ok(Next::More)
    }

    fn auth(
        &mut self,
        sequence: u8,
        bytes: &[u8],
        (scramble, plugin): (Vec<u8>, Plugin),
        say: &mut Vec<u8>,
    ) -> Result<Next<Report>, String> {
        let next = sequence.wrapping_add(1);
        match bytes.split_first() {
            Some((0, _)) => self.ask(say),
            Some((0xff, rest)) => Err(refusal(rest)),
            Some((0xfe, rest)) => {
                let mut reader = Reader(rest);
                let plugin = Plugin::of(reader.text_to_zero().unwrap_or(b"mysql_old_password"));
                if let Plugin::Other(name) = &plugin {
                    return Err(format!("the server wants the login `{name}`, which vipd does not know"));
                }
                let scramble = reader.0.strip_suffix(&[0]).unwrap_or(reader.0).to_vec();
                let proof = answer(&plugin, &self.login.password, &scramble);
                say.extend(packet(next, &proof));
                self.step = Step::Auth { scramble, plugin };
                Ok(Next::More)
            }
            // caching_sha2_password: 3: known already; 4: the whole password is wanted.
            Some((1, [3])) if plugin == Plugin::CachingSha2 => {
                self.step = Step::Auth { scramble, plugin };
                Ok(Next::More)
            }
            Some((1, [4])) if plugin == Plugin::CachingSha2 && self.secure => {
                let mut word = without_end(&self.login.password);
                word.push(0);
                say.extend(packet(next, &word));
                self.step = Step::Auth { scramble, plugin };
                Ok(Next::More)
            }
            Some((1, [4])) if plugin == Plugin::CachingSha2 => Err(
                "the server wants the whole password (caching_sha2_password), which is told over TLS alone: \
                 use `tls on`"
                    .to_owned(),
            ),
            _ => Err("the answer to the login is not what MySQL says".to_owned()),
        }
    }

    /// The next question, or the end.
    fn ask(&mut self, say: &mut Vec<u8>) -> Result<Next<Report>, String> {
        let Some((topic, text)) = self.questions.pop() else {
            say.extend(packet(0, &[COM_QUIT]));
            return Ok(Next::Over(std::mem::take(&mut self.report)));
        };
        let body: Vec<u8> = [COM_QUERY].into_iter().chain(text.into_bytes()).collect();
        say.extend(packet(0, &body));
        self.step = Step::Answer(topic);
        Ok(Next::More)
    }

    fn refused(
        &mut self,
        topic: Topic,
        rest: &[u8],
        say: &mut Vec<u8>,
    ) -> Result<Next<Report>, String> {
        let why = refusal(rest);
        match topic {
            Topic::Facts => Err(why),
            Topic::Links => Err(format!("how replication does cannot be asked: {why}")),
            Topic::Query => {
                self.report.refused = Some(why);
                self.ask(say)
            }
        }
    }

    fn answer_begins(
        &mut self,
        topic: Topic,
        bytes: &[u8],
        say: &mut Vec<u8>,
    ) -> Result<Next<Report>, String> {
        if topic == Topic::Links {
            self.report.links = Some(Vec::new());
        }
        match bytes.split_first() {
            Some((0, _)) => self.ask(say),
            Some((0xff, rest)) => self.refused(topic, rest, say),
            _ => {
                let left = Reader(bytes).number().filter(|n| *n <= COLUMNS_MAX);
                let left = left.ok_or_else(wrong)?;
                let names = Vec::new();
                self.step = Step::Columns { topic, left, names };
                Ok(Next::More)
            }
        }
    }

    fn row(&mut self, topic: Topic, names: &[String], bytes: &[u8]) -> Result<(), String> {
        let mut reader = Reader(bytes);
        let mut values = Vec::new();
        for _ in names {
            values.push(reader.nullable().ok_or_else(wrong)?);
        }
        match (topic, values.as_slice()) {
            (Topic::Facts, [Some(name), Some(value)]) => {
                if self.report.facts.len() < FACTS_MAX {
                    let name = shown(name).to_ascii_lowercase();
                    self.report.facts.insert(name, shown(value));
                }
            }
            (Topic::Facts, _) => return Err(wrong()),
            (Topic::Links, _) => {
                let value = |wanted: &[&str]| {
                    let at = names.iter().position(|n| wanted.contains(&n.as_str()))?;
                    values.get(at)?.map(shown)
                };
                let running = |wanted| value(wanted).unwrap_or_default();
                let link = Link {
                    io: running(&["Slave_IO_Running", "Replica_IO_Running"]),
                    sql: running(&["Slave_SQL_Running", "Replica_SQL_Running"]),
                    behind: value(&["Seconds_Behind_Master", "Seconds_Behind_Source"])
                        .and_then(|text| text.parse().ok()),
                };
                let links = self.report.links.get_or_insert_default();
                if links.len() < LINKS_MAX {
                    links.push(link);
                }
            }
            (Topic::Query, _) => {}
        }
        Ok(())
    }

    fn take_packet(
        &mut self,
        sequence: u8,
        bytes: &[u8],
        say: &mut Vec<u8>,
    ) -> Result<Next<Report>, String> {
        match std::mem::replace(&mut self.step, Step::Greeting) {
            Step::Greeting => self.greeted(bytes, say),
            // Nothing is heard between the request for TLS and the login.
            Step::Login { .. } => Err(wrong()),
            Step::Auth { scramble, plugin } => self.auth(sequence, bytes, (scramble, plugin), say),
            Step::Answer(topic) => self.answer_begins(topic, bytes, say),
            Step::Columns {
                topic,
                left: 0,
                names,
            } => {
                if !is_end(bytes) {
                    return Err(wrong());
                }
                self.step = Step::Rows { topic, names };
                Ok(Next::More)
            }
            Step::Columns {
                topic,
                left,
                mut names,
            } => {
                names.push(column_name(bytes).ok_or_else(wrong)?);
                let left = left - 1;
                self.step = Step::Columns { topic, left, names };
                Ok(Next::More)
            }
            Step::Rows { topic, names } => match bytes.split_first() {
                Some((0xff, rest)) => self.refused(topic, rest, say),
                _ if is_end(bytes) => self.ask(say),
                _ => {
                    self.row(topic, &names, bytes)?;
                    self.step = Step::Rows { topic, names };
                    Ok(Next::More)
                }
            },
        }
    }
}

impl Conversation for Asks {
    type Found = Report;

    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>) -> Result<Next<Report>, String> {
        if let Step::Login {
            scramble,
            plugin,
            sequence,
        } = &self.step
        {
            let (scramble, plugin, sequence) = (scramble.clone(), plugin.clone(), *sequence);
            self.secure = true;
            self.log_in(scramble, plugin, sequence, say)?;
        }
        if self.step == Step::Greeting && promised(heard) > GREETING_MAX {
            return Err("the greeting is not MySQL".to_owned());
        }
        let mut at = 0;
        let mut next = Ok(Next::More);
        while let Some((sequence, body, length)) = take(heard.get(at..).unwrap_or_default()) {
            next = self.take_packet(sequence, body, say);
            at += length;
            if next != Ok(Next::More) {
                break;
            }
        }
        heard.drain(..at.min(heard.len()));
        next
    }
}

struct Greeting {
    version: String,
    capabilities: u32,
    scramble: Vec<u8>,
    plugin: Plugin,
}

impl Greeting {
    fn read(bytes: &[u8]) -> Result<Greeting, String> {
        if let Some((0xff, rest)) = bytes.split_first() {
            return Err(refusal(rest));
        }
        let read = || {
            let mut reader = Reader(bytes);
            (reader.bytes(1)? == [10]).then_some(())?;
            let version = shown(reader.text_to_zero()?);
            reader.bytes(4)?;
            let mut scramble = reader.bytes(8)?.to_vec();
            reader.bytes(1)?;
            let low = reader.u16()?;
            reader.bytes(3)?;
            let high = reader.u16()?;
            let length = reader.bytes(1)?.first().copied().unwrap_or(0);
            reader.bytes(10)?;
            // The manual: at least 13 bytes, of which the last is a zero.
            let rest = reader.bytes(usize::from(length).saturating_sub(8).max(13))?;
            scramble.extend(rest.strip_suffix(&[0]).unwrap_or(rest));
            let plugin = reader.text_to_zero().unwrap_or(reader.0);
            Some(Greeting {
                version,
                capabilities: u32::from(low) | u32::from(high) << 16,
                scramble,
                plugin: Plugin::of(plugin),
            })
        };
        read().ok_or_else(|| "the greeting is not MySQL".to_owned())
    }
}

/// MySQL calls it so from 8.0.22 on, and MariaDB has one statement for any number of sources.
fn replication_statement(version: &str) -> &'static str {
    if version.to_ascii_lowercase().contains("mariadb") {
        return "SHOW ALL SLAVES STATUS";
    }
    let mut numbers = version
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    let mut number = || numbers.next().unwrap_or(0);
    match (number(), number(), number()) >= (8_u32, 0_u32, 22_u32) {
        true => "SHOW REPLICA STATUS",
        false => "SHOW SLAVE STATUS",
    }
}

/// `ERR`: a number, since 4.1 a state of five letters, and a sentence.
fn refusal(rest: &[u8]) -> String {
    let mut reader = Reader(rest);
    let code = reader.u16().unwrap_or(0);
    if reader.0.first() == Some(&b'#') {
        reader.bytes(6);
    }
    format!("error {code}: {}", shown(reader.0))
}

fn wrong() -> String {
    "the answer is not what MySQL says".to_owned()
}

/// `EOF`; a row may begin with the same byte, and is longer then.
fn is_end(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0xfe) && bytes.len() < 9
}

/// Catalog, schema, table and original table stand before the name.
fn column_name(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader(bytes);
    for _ in 0..4 {
        reader.nullable()?;
    }
    reader.nullable()?.map(shown)
}

/// What ends with a zero on the wire must not have one within.
fn without_end(text: &str) -> Vec<u8> {
    text.bytes().filter(|b| *b != 0).collect()
}

#[cfg(test)]
mod tests;
