//! The line of an agent as HAProxy reads it (its manual, `agent-check`): words divided by blanks, tabs or
//! commas, and behind `#` a reason.

use super::talk::{Conversation, Next, shown};

/// The longest line.
const LINE_MAX: usize = 1024;
/// The largest weight, in hundredths.
const PERCENT_MAX: u32 = 10_000;

/// What an agent wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// In, out or in between; `None`: it does not say.
    pub wish: Option<Wish>,
    /// Weight, in hundredths of the configured one.
    pub percent: Option<u32>,
    /// Why, in words; may be empty.
    pub why: String,
}

/// Whether the server should be in its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// `up`, `ready`.
    In,
    /// `drain`: no new connections.
    Drain,
    /// `down`, `fail`, `stopped`, `maint`: which.
    Out(&'static str),
}

/// Reads a line. Of several words about the same the worst counts, as with HAProxy, where `maint` and
/// `down` each take a server out.
///
/// # Errors
/// In words: it has a word that no agent says.
pub fn parse(line: &[u8]) -> Result<Agent, String> {
    let end = line.iter().position(|b| matches!(b, b'\r' | b'\n' | 0));
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let (words, why) = text.split_once('#').unwrap_or((&text, ""));
    let mut agent = Agent {
        why: shown(why.as_bytes()),
        ..Agent::default()
    };
    let words = words
        .split([' ', '\t', ','])
        .filter(|word| !word.is_empty());
    for word in words {
        let word = word.to_ascii_lowercase();
        let wish = match word.as_str() {
            "up" | "ready" => Wish::In,
            "drain" => Wish::Drain,
            "down" => Wish::Out("down"),
            "fail" | "failed" => Wish::Out("fail"),
            "stopped" => Wish::Out("stopped"),
            "maint" => Wish::Out("maint"),
            word => match percent(word) {
                Some(percent) => {
                    agent.percent = Some(percent);
                    continue;
                }
                // A limit of connections; IPVS has thresholds of its own.
                None if word.starts_with("maxconn:") => continue,
                None => {
                    let word = shown(word.as_bytes());
                    return Err(format!("`{word}` is nothing that an agent says"));
                }
            },
        };
        agent.wish = agent.wish.max(Some(wish));
    }
    Ok(agent)
}

fn percent(word: &str) -> Option<u32> {
    let number: u32 = word.strip_suffix('%')?.parse().ok()?;
    (number <= PERCENT_MAX).then_some(number)
}

/// `HAPROXY_CHECK`: perhaps something is sent, then the agent says its line and closes.
#[derive(Clone, Debug)]
pub struct Asks {
    send: Option<String>,
}

impl Asks {
    /// `send`: `agent-send`, without the end of the line.
    pub fn new(send: Option<&str>) -> Asks {
        Asks {
            send: send.map(str::to_owned),
        }
    }
}

impl Conversation for Asks {
    type Found = Agent;

    fn hear(&mut self, heard: &mut Vec<u8>, say: &mut Vec<u8>) -> Result<Next<Agent>, String> {
        if let Some(send) = self.send.take() {
            say.extend(send.as_bytes());
            say.push(b'\n');
        }
        let end = heard.iter().position(|b| *b == b'\n');
        match end.unwrap_or(heard.len()) > LINE_MAX {
            true => Err(format!("the agent's line is longer than {LINE_MAX} bytes")),
            false if end.is_some() => parse(heard).map(Next::Over),
            false => Ok(Next::More),
        }
    }

    /// HAProxy too leaves out a line without an end: it may be half of another.
    fn closed(&mut self, heard: &[u8]) -> Result<Agent, String> {
        Err(match heard.is_empty() {
            true => "the agent closed the connection without a word".to_owned(),
            false => format!("the line of the agent has no end: `{}`", shown(heard)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::talk::hear_all;
    use proptest::prelude::*;

    #[test]
    fn words_are_divided_as_haproxy_divides_them() {
        let agent = parse(b"Up,50%\tmaxconn:30 # all is well\r\nmore").unwrap();
        assert_eq!(
            (agent.wish, agent.percent, agent.why.as_str()),
            (Some(Wish::In), Some(50), "all is well")
        );
        let agent = parse(b"ready drain down").unwrap();
        assert_eq!(agent.wish, Some(Wish::Out("down")));
        assert_eq!(parse(b"").unwrap(), Agent::default());
        for wrong in ["HTTP/1.0 200 OK", "-5%", "50", "10001%", "%"] {
            assert!(parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_heard_to_its_end_and_no_longer() {
        let (next, said) = hear_all(&mut Asks::new(Some("web")), b"drain\n", 1);
        assert_eq!(said, b"web\n");
        assert!(matches!(next, Ok(Next::Over(a)) if a.wish == Some(Wish::Drain)));
        let (next, _) = hear_all(&mut Asks::new(None), b"up", 1);
        assert_eq!(next, Ok(Next::More));
        let why = Asks::new(None).closed(b"up").unwrap_err();
        assert_eq!(why, "the line of the agent has no end: `up`");
        let (next, _) = hear_all(&mut Asks::new(None), &[b'x'; 5000], 100);
        assert!(next.is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_panic(bytes: Vec<u8>, step in 1_usize..9) {
            drop(parse(&bytes));
            let (_, said) = hear_all(&mut Asks::new(None), &bytes, step);
            prop_assert!(said.is_empty());
            drop(Asks::new(None).closed(&bytes));
        }
    }
}
