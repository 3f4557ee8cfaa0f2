//! What the report shows of a scenario: a table with a line for each step, the pairs side by side.

use std::time::Duration;

use super::steps::{Came, Step};
use crate::lab::Lab;

/// A pair and the steps that it has taken.
pub(super) type Played = (&'static str, Vec<Step>);

/// Adds the table to what is shown of the case, whether it passes or not.
pub(super) fn show(lab: &Lab, pairs: &[Played]) {
    let whats = pairs.first().into_iter().flat_map(|(_, steps)| steps);
    let whats = whats.map(|step| vec![step.what.to_owned()]);
    let mut blocks = vec![block("", ["(seconds)"], whats, ["the longest gap"])];
    for (pair, steps) in pairs {
        let longest = steps.iter().map(|step| step.gap).max();
        blocks.push(block(
            pair,
            ["at", "took", "gap", "who has it"],
            steps.iter().map(cells),
            ["", "", &seconds(longest.unwrap_or_default()), ""],
        ));
    }
    let rows = blocks.first().map_or(0, Vec::len);
    for row in 0..rows {
        let parts = blocks.iter().filter_map(|block| block.get(row));
        let parts: Vec<&str> = parts.map(String::as_str).collect();
        lab.note(parts.join(" | ").trim_end());
    }
}

fn cells(step: &Step) -> Vec<String> {
    let took = match step.came {
        Came::After(after) => seconds(after),
        Came::Never => "never".to_owned(),
        Came::Stays => "stays".to_owned(),
    };
    let holders = step.holders.join(" ");
    vec![seconds(step.at), took, seconds(step.gap), holders]
}

fn seconds(of: Duration) -> String {
    format!("{:.2}", of.as_secs_f64())
}

/// Lines of the same width: a title, the names of the columns, the cells, and a last line.
fn block<const N: usize>(
    title: &str,
    names: [&str; N],
    cells: impl Iterator<Item = Vec<String>>,
    last: [&str; N],
) -> Vec<String> {
    let owned = |line: [&str; N]| line.map(str::to_owned).to_vec();
    let mut lines = vec![owned(names)];
    lines.extend(cells);
    lines.push(owned(last));
    let length = |cell: &String| cell.chars().count();
    let widest = |at: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(at))
            .map(length)
            .max()
    };
    let widths: Vec<usize> = (0..N).map(|at| widest(at).unwrap_or_default()).collect();
    let mut rows: Vec<String> = lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ")
        })
        .collect();
    let width = rows.first().map_or(0, |row| row.chars().count());
    rows.insert(0, format!("{title:width$}"));
    rows
}
