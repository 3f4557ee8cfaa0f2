//! The whole play on a few lines: when rows were acknowledged, and who held the inner address.

use std::time::{Duration, Instant};

use super::INNER;
use super::acts::Act;
use super::client::Ledger;
use super::watch::Held;

const COLUMNS_MAX: u32 = 90;

/// A column for each half second, or whole second of a longer play; the last line says what is what.
pub(super) fn draw(ledger: &Ledger, history: &[Held], acts: &[Act]) -> String {
    let (Some(first), Some(last)) = (acts.first(), acts.last()) else {
        return String::new();
    };
    let (start, whole) = (first.from, last.to - first.from);
    let mut column = Duration::from_millis(500);
    while column * COLUMNS_MAX < whole {
        column *= 2;
    }
    let (mut rows, mut holders, mut events) = (String::new(), String::new(), String::new());
    let mut at = start;
    while at < start + whole {
        let next = at + column;
        let inside = |time: Instant| time >= at && time < next;
        let any = ledger.acknowledged.iter().any(|row| inside(row.at));
        rows.push(if any { '#' } else { '.' });
        holders.push(holder(history, next));
        let event = (1..)
            .zip(acts.iter().skip(1))
            .find(|(_, act)| inside(act.from));
        events.push(
            event
                .and_then(|(n, _)| char::from_digit(n, 10))
                .unwrap_or(' '),
        );
        at = next;
    }
    let named = (1..).zip(acts.iter().skip(1));
    let names: Vec<String> = named.map(|(n, act)| format!("{n} {}", act.what)).collect();
    let column = column.as_secs_f64();
    format!(
        "
  events  {}
  rows    {rows}
  holder  {holders}
          a column is {column} s
          events: {}
          rows: # acknowledged, . none
          holder of {INNER}: 1 h1, 2 h2, = both, - nobody
",
        events.trim_end(),
        names.join(", ")
    )
}

/// Who held the inner address last before `at`.
fn holder(history: &[Held], at: Instant) -> char {
    let last = history
        .iter()
        .rev()
        .find(|held| held.address == INNER && held.since < at);
    let names: Vec<&str> = last
        .into_iter()
        .flat_map(|held| &held.by)
        .map(String::as_str)
        .collect();
    match names.as_slice() {
        [] => '-',
        ["h1"] => '1',
        ["h2"] => '2',
        _ => '=',
    }
}
