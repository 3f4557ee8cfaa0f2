//! From samples to a table on the screen, a JSON file and a plot: one way for every benchmark.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::lab::check::{Doing, Outcome};

const OURS: &str = "vipd";
const THEIRS: &str = "keepalived";

/// All values of one row.
struct Row {
    name: String,
    unit: String,
    /// By who; in order.
    values: BTreeMap<String, Vec<f64>>,
}

/// Median and extremes.
#[derive(Clone, Copy)]
struct Summary {
    median: f64,
    least: f64,
    most: f64,
}

impl Row {
    fn of(&self, who: &str) -> Option<Summary> {
        let values = self.values.get(who)?;
        let (least, most) = (*values.first()?, *values.last()?);
        let (low, high) = (
            values.get((values.len() - 1) / 2)?,
            values.get(values.len() / 2)?,
        );
        Some(Summary {
            median: f64::midpoint(*low, *high),
            least,
            most,
        })
    }

    /// Of the medians; none where keepalived's is nothing, or it was not measured.
    fn ratio(&self) -> Option<f64> {
        let (ours, theirs) = (self.of(OURS)?, self.of(THEIRS)?);
        (theirs.median > 0.0).then(|| ours.median / theirs.median)
    }
}

/// Reads the samples of the benchmark `name`, prints its table, and writes `name.json` and `name.svg` into
/// `dir`.
pub(super) fn write(name: &str, samples: &Path, dir: &Path) -> Outcome {
    let text = fs::read_to_string(samples).doing(samples.display())?;
    let rows = rows(&text)?;
    if rows.is_empty() {
        return Err(format!("{name}: nothing was measured").into());
    }
    let machine = machine();
    println!("\n{name}, {machine}\n\n{}", table(&rows));
    fs::create_dir_all(dir).doing(dir.display())?;
    let whole = json!({
        "benchmark": name,
        "machine": machine,
        "rows": rows.iter().map(as_json).collect::<Vec<Value>>(),
    });
    let file = |suffix: &str| dir.join(format!("{name}.{suffix}"));
    fs::write(file("json"), serde_json::to_string_pretty(&whole)? + "\n")?;
    fs::write(file("svg"), plot(name, &machine, &rows))?;
    Ok(())
}

/// Rows in the order in which they were first measured.
fn rows(text: &str) -> Outcome<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, who, unit, value] = fields[..] else {
            return Err(format!("not a sample: {line:?}").into());
        };
        let value: f64 = value.parse().doing(line)?;
        let at = rows.iter().position(|row| row.name == name);
        let at = at.unwrap_or_else(|| {
            rows.push(Row {
                name: name.to_owned(),
                unit: unit.to_owned(),
                values: BTreeMap::new(),
            });
            rows.len() - 1
        });
        if let Some(row) = rows.get_mut(at) {
            row.values.entry(who.to_owned()).or_default().push(value);
        }
    }
    for values in rows.iter_mut().flat_map(|row| row.values.values_mut()) {
        values.sort_by(f64::total_cmp);
    }
    Ok(rows)
}

/// Date, processor, cores, kernel.
fn machine() -> String {
    let said = |program: &str, word: &str| {
        let output = Command::new(program).arg(word).output();
        output.map_or_else(
            |_| String::from("?"),
            |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
        )
    };
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{}, {cores} cores of {model}, Linux {}",
        said("date", "+%F"),
        said("uname", "-r")
    )
}

/// As Markdown, so that it can be kept in a document.
fn table(rows: &[Row]) -> String {
    let mut others: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.values.keys())
        .map(String::as_str)
        .filter(|who| ![OURS, THEIRS].contains(who))
        .collect();
    others.sort_unstable();
    others.dedup();
    let mut text = format!("| | unit | {OURS} | {THEIRS} | ratio |");
    for who in &others {
        let _ = write!(text, " {who} |");
    }
    text.push_str("\n| --- | --- | ---: | ---: | ---: |");
    text.push_str(&" ---: |".repeat(others.len()));
    for row in rows {
        let shown = |who: &str| row.of(who).map_or("-".to_owned(), words);
        let ratio = row.ratio().map_or("-".to_owned(), |r| format!("{r:.2}"));
        let _ = write!(
            text,
            "\n| {} | {} | {} | {} | {ratio} |",
            row.name,
            row.unit,
            shown(OURS),
            shown(THEIRS)
        );
        for who in &others {
            let _ = write!(text, " {} |", shown(who));
        }
    }
    text
}

fn words(summary: Summary) -> String {
    let Summary {
        median,
        least,
        most,
    } = summary;
    // Three digits that say something.
    let digits = if median >= 100.0 {
        0
    } else if median >= 10.0 {
        1
    } else {
        2
    };
    format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
}

fn as_json(row: &Row) -> Value {
    let mut value = json!({ "name": row.name, "unit": row.unit, "ratio": row.ratio() });
    for (who, values) in &row.values {
        let Some(Summary {
            median,
            least,
            most,
        }) = row.of(who)
        else {
            continue;
        };
        value[who] = json!({ "median": median, "least": least, "most": most, "values": values });
    }
    value
}

const LABEL_WIDTH: f64 = 340.0;
const PLOT_WIDTH: f64 = 520.0;
const ROW_HEIGHT: f64 = 34.0;
const HEAD_HEIGHT: f64 = 56.0;
const COLOURS: [(&str, &str); 3] = [(OURS, "#1864ab"), (THEIRS, "#e8590c"), ("", "#868e96")];

/// A logarithmic axis.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Whole decades around everything that is above nothing.
    fn around(rows: &[&Row]) -> Axis {
        let values = rows.iter().flat_map(|row| row.values.values().flatten());
        let values: Vec<f64> = values.copied().filter(|value| *value > 0.0).collect();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        if values.is_empty() {
            return Axis { from: 0.0, to: 1.0 };
        }
        let (from, to) = (least.log10().floor(), most.log10().ceil());
        Axis {
            from,
            to: to.max(from + 1.0),
        }
    }

    /// What is nothing stands at the left end.
    fn x(&self, value: f64) -> f64 {
        let share = (value.max(f64::MIN_POSITIVE).log10() - self.from) / (self.to - self.from);
        LABEL_WIDTH + PLOT_WIDTH * share.clamp(0.0, 1.0)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        let (from, to) = (self.from, self.to);
        (0_u8..=30)
            .map(move |n| from + f64::from(n))
            .take_while(move |d| *d <= to)
            .map(|decade| 10_f64.powf(decade))
    }
}

/// One panel for each unit: a line from the least to the most, a dot at the median.
fn plot(name: &str, machine: &str, rows: &[Row]) -> String {
    let mut units: Vec<&str> = Vec::new();
    for row in rows {
        if !units.contains(&row.unit.as_str()) {
            units.push(&row.unit);
        }
    }
    let (mut body, mut y) = (String::new(), HEAD_HEIGHT);
    for unit in units {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.unit == unit).collect();
        y = panel(&mut body, unit, &rows, y);
    }
    let width = LABEL_WIDTH + PLOT_WIDTH + 60.0;
    let (machine, name) = (escaped(machine), escaped(name));
    let mut head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">{name}: median, least to most, logarithmic; less is better</text>\n\
         <text x=\"10\" y=\"38\" fill=\"#868e96\">{machine}</text>\n"
    );
    for ((who, colour), x) in COLOURS.iter().zip([600.0, 660.0, 750.0]) {
        let who = if who.is_empty() { "beside both" } else { who };
        let _ = writeln!(
            head,
            "<text x=\"{x}\" y=\"20\" fill=\"{colour}\">● {who}</text>"
        );
    }
    format!("{head}{body}</svg>\n")
}

/// Draws below `top`; where it ends.
fn panel(body: &mut String, unit: &str, rows: &[&Row], top: f64) -> f64 {
    let axis = Axis::around(rows);
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let bottom = top + 20.0 + ROW_HEIGHT * f64::from(count);
    for decade in axis.decades() {
        let x = axis.x(decade);
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#e9ecef\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#868e96\">{decade} {unit}</text>",
            top + 10.0
        );
    }
    let mut y = top + 34.0;
    for row in rows {
        let _ = writeln!(
            body,
            "<text x=\"10\" y=\"{:.1}\">{}</text>",
            y + 4.0,
            escaped(&row.name)
        );
        let mut lane = y - 8.0;
        for who in [OURS, THEIRS].into_iter().chain(
            row.values
                .keys()
                .map(String::as_str)
                .filter(|w| ![OURS, THEIRS].contains(w)),
        ) {
            let Some(summary) = row.of(who) else { continue };
            let known = COLOURS.iter().find(|(name, _)| *name == who);
            let colour = known
                .or(COLOURS.last())
                .map_or("black", |(_, colour)| colour);
            let (a, b) = (axis.x(summary.least), axis.x(summary.most));
            let _ = writeln!(
                body,
                "<line x1=\"{a:.1}\" y1=\"{lane:.1}\" x2=\"{b:.1}\" y2=\"{lane:.1}\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/><circle cx=\"{:.1}\" cy=\"{lane:.1}\" r=\"4\" fill=\"{colour}\"/>",
                axis.x(summary.median)
            );
            lane += 8.0;
        }
        y += ROW_HEIGHT;
    }
    bottom + 16.0
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
