//! `HAPROXY_CHECK`: what an agent wants.

use crate::health::{CheckOutcome, Found, Weighing};
use crate::wire::agent::{Agent, Wish};

/// Each answer stands alone: what it does not say is as it is configured.
pub fn agent_outcome(agent: &Agent) -> CheckOutcome {
    let because = match agent.why.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    let percent = match agent.wish {
        Some(Wish::Out(word)) => {
            return CheckOutcome::Failed(format!("its agent says `{word}`{because}"));
        }
        Some(Wish::Drain) => Some(0),
        Some(Wish::In) | None => agent.percent,
    };
    let Some(percent) = percent else {
        return CheckOutcome::Passed;
    };
    let said = match agent.wish {
        Some(Wish::Drain) => "drain".to_owned(),
        _ => format!("{percent}%"),
    };
    CheckOutcome::Found(Box::new(Found {
        weighing: Some(Weighing::Percent(percent)),
        remark: (percent != 100).then(|| format!("its agent says `{said}`{because}")),
        ..Found::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::agent::parse;

    fn outcome(line: &str) -> CheckOutcome {
        agent_outcome(&parse(line.as_bytes()).unwrap())
    }

    fn weight(line: &str) -> i64 {
        match outcome(line) {
            CheckOutcome::Passed => 200,
            CheckOutcome::Found(found) => 200 + found.weighing.map_or(0, |w| w.shift(200)),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn words_and_weights_of_an_agent() {
        for (line, expected) in [
            ("up\n", 200),
            ("ready\n", 200),
            ("50%\n", 100),
            ("up 75%\n", 150),
            ("100%\n", 200),
            ("drain 100%\n", 0),
            ("\n", 200),
        ] {
            assert_eq!(weight(line), expected, "{line}");
        }
        for (line, expected) in [
            ("down\n", "its agent says `down`"),
            ("down # no disk \n", "its agent says `down`: no disk"),
            ("MAINT\n", "its agent says `maint`"),
            ("stopped 50%\n", "its agent says `stopped`"),
        ] {
            assert_eq!(
                outcome(line),
                CheckOutcome::Failed(expected.into()),
                "{line}"
            );
        }
    }
}
