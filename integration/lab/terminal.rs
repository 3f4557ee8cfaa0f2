//! A terminal: a program in it, what it shows at last, and a picture of that.

use std::fmt::Write as _;
use std::time::Duration;

use super::check::{Outcome, ensure};
use super::net::{COMMAND_LIMIT, Host};
use super::process::Run;

/// Size of a character in the picture, and what is around them, in pixels.
const CHARACTER: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 14.0;

/// What a program shows.
pub(crate) struct Screen {
    columns: usize,
    /// Each line as pieces in one style: parameters of "select graphic rendition" (ECMA-48) and text.
    lines: Vec<Vec<(String, String)>>,
}

impl Screen {
    /// Runs a line of shell in a terminal for so long, and takes the last whole screen that it drew. It must
    /// draw each from the upper left on and clear what is below, as `vipd top` does.
    pub(crate) fn of(
        host: &Host,
        command: &str,
        (columns, rows): (usize, usize),
        time: Duration,
    ) -> Outcome<Screen> {
        let seconds = time.as_secs();
        let inside = format!(
            "stty cols {columns} rows {rows}; TERM=xterm-256color timeout --foreground {seconds} {command}"
        );
        let said = host.try_run_with(&Run {
            argv: &["script", "-qec", &inside, "/dev/null"],
            stdin: "",
            limit: COMMAND_LIMIT + time,
        })?;
        let drawn = said.stdout.rsplit_once("\x1b[J").map(|(drawn, _)| drawn);
        let drawn = drawn.and_then(|drawn| drawn.rsplit_once("\x1b[H"));
        ensure!(drawn.is_some(), "{command} drew nothing: {}", said.stdout);
        let (_, drawn) = drawn.unwrap_or_default();
        let lines: Vec<_> = drawn.split("\r\n").map(pieces).collect();
        ensure!(lines.len() <= rows, "{} lines on {rows} rows", lines.len());
        Ok(Screen { columns, lines })
    }

    /// Without colours.
    pub(crate) fn text(&self) -> String {
        let line = |pieces: &Vec<(String, String)>| -> String {
            pieces.iter().map(|(_, text)| text.as_str()).collect()
        };
        self.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// As SVG, with the command that was typed above it.
    pub(crate) fn svg(&self, typed: &str) -> String {
        let (wide, high) = CHARACTER;
        let width = wide * count(self.columns) + 2.0 * MARGIN;
        let height = high * count(self.lines.len() + 1) + 2.0 * MARGIN;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" font-size=\"14\" \
             font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\">\n\
             <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#14181d\"/>\n"
        );
        let typed = vec![
            (String::new(), "# ".to_owned()),
            ("1".to_owned(), typed.to_owned()),
        ];
        for (row, pieces) in std::iter::once(&typed).chain(&self.lines).enumerate() {
            let y = MARGIN + high * (count(row) + 0.75);
            let mut column = 0;
            for (style, text) in pieces {
                let length = text.chars().count();
                if !text.trim().is_empty() {
                    // Columns stand under each other, whatever font there is.
                    let (x, long) = (MARGIN + wide * count(column), wide * count(length));
                    let _ = writeln!(
                        svg,
                        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{long:.1}\" \
                         lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" {}>{}</text>",
                        look(style),
                        escaped(text)
                    );
                }
                column += length;
            }
        }
        svg + "</svg>\n"
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A line by its styles.
fn pieces(line: &str) -> Vec<(String, String)> {
    let line = line.replace("\x1b[K", "");
    let mut found = Vec::new();
    for (at, piece) in line.split("\x1b[").enumerate() {
        let (style, text) = match (at, piece.split_once('m')) {
            (1.., Some((style, text))) => (style, text),
            _ => ("", piece),
        };
        if !text.is_empty() {
            found.push((style.to_owned(), text.trim_end().to_owned()));
        }
    }
    found
}

fn look(style: &str) -> &'static str {
    match style {
        "1" => "fill=\"#ffffff\" font-weight=\"bold\"",
        "36" => "fill=\"#5cc8d7\"",
        "1;31" => "fill=\"#ff7a6b\" font-weight=\"bold\"",
        "33" => "fill=\"#e8b93c\"",
        "2" => "fill=\"#8a94a1\"",
        _ => "fill=\"#d6dde6\"",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
