//! `vipd check`: every problem of one or more files in one run, for people and for programs.

mod correct;
mod diff;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::config::keywords::{self, Arguments, BlockKind, Body, Keyword, Support, Type};
use crate::config::{self, Diagnostic, Loaded, Severity, Style};
use crate::daemon::prepare;

use super::args::Reading;

/// Say everything that is wrong with configuration files, change nothing
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 nothing worse than warnings, 1 warnings with --deny-warnings, 2 errors.

Examples:
  vipd check /etc/keepalived/keepalived.conf
  vipd check --format concise --deny-warnings conf/*.conf
  vipd check --fix --dry-run /etc/keepalived/keepalived.conf
  vipd check --explain garp_master_delay")]
pub struct CheckArgs {
    /// Files to check: each by itself, and those of the same virtual router against each other
    #[arg(value_name = "FILE", required_unless_present = "explain")]
    files: Vec<PathBuf>,

    /// How problems are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    /// Let warnings count as a failure
    #[arg(long)]
    deny_warnings: bool,

    /// Print what is known of a keyword: where it stands, its arguments, range and default
    #[arg(long, value_name = "KEYWORD", conflicts_with = "files")]
    explain: Option<String>,

    /// Print the effective configuration, every default filled in, as JSON
    #[arg(long, conflicts_with_all = ["explain", "format"])]
    print: bool,

    /// Correct in the files what is certain, such as a misspelt keyword, and say what remains
    #[arg(long, conflicts_with_all = ["explain", "print"])]
    fix: bool,

    /// With --fix: print the corrections as a diff, write nothing; what would remain goes to stderr
    #[arg(long, requires = "fix")]
    dry_run: bool,

    #[command(flatten)]
    reading: Reading,
}

/// Shapes of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the lines of the file, in colour on a terminal
    #[default]
    Full,
    /// A line for each problem
    Concise,
    /// An array of objects
    Json,
}

/// Runs the command.
pub(super) fn run(args: &CheckArgs) -> ExitCode {
    if let Some(word) = &args.explain {
        return explain(word);
    }
    let options = args.reading.options();
    let mut json = Vec::new();
    let (mut errors, mut warnings) = (false, false);
    let mut files: Vec<Loaded> = Vec::new();
    for file in &args.files {
        files.push(match (args.fix, args.dry_run) {
            (false, _) => prepare::load(file, &options),
            (true, true) => correct::show(file, &options),
            (true, false) => {
                let written = correct::write(file, &options, args.format == Format::Json);
                errors |= written == correct::Written::NotAll;
                prepare::load(file, &options)
            }
        });
    }
    config::compare(&mut files);
    for loaded in files {
        errors |= loaded.has_errors();
        warnings |= !loaded.diagnostics.is_empty();
        if args.print {
            print_effective(&loaded);
            continue;
        }
        if args.dry_run {
            let style = match args.format {
                Format::Full => Style::Plain,
                Format::Concise | Format::Json => Style::Concise,
            };
            let _ = std::io::stderr().write_all(loaded.render(style).as_bytes());
            continue;
        }
        match args.format {
            Format::Full if super::wants_colour(&std::io::stdout()) => {
                print(&loaded.render(Style::Colour))
            }
            Format::Full => print(&loaded.render(Style::Plain)),
            Format::Concise => print(&loaded.render(Style::Concise)),
            Format::Json => json.extend(loaded.diagnostics.iter().map(|d| object(d, &loaded))),
        }
    }
    if args.format == Format::Json && !args.dry_run {
        print(&format!("{:#}\n", Value::Array(json)));
    }
    match (errors, warnings && args.deny_warnings) {
        (true, _) => ExitCode::from(2),
        (false, true) => ExitCode::from(1),
        (false, false) => ExitCode::SUCCESS,
    }
}

/// The configuration on standard output, what is wrong with it on standard error.
fn print_effective(loaded: &Loaded) {
    let _ = std::io::stderr().write_all(loaded.render(Style::Concise).as_bytes());
    if let Some(config) = &loaded.config {
        match serde_json::to_string_pretty(config) {
            Ok(text) => print(&(text + "\n")),
            Err(error) => super::say(&format!("write the configuration as JSON: {error}")),
        }
    }
}

fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn object(diagnostic: &Diagnostic, loaded: &Loaded) -> Value {
    let place = diagnostic.span.and_then(|span| loaded.sources.place(span));
    let edits = config::fix::edits(diagnostic, loaded);
    let edits: Vec<Value> = edits
        .filter_map(|edit| {
            let place = loaded.sources.place(edit.span)?;
            Some(json!({
                "file": place.path.to_string_lossy(),
                "line": place.line,
                "column": place.column,
                "start": edit.span.start,
                "end": edit.span.end,
                "old": loaded.sources.text(edit.span),
                "new": edit.text,
            }))
        })
        .collect();
    json!({
        "code": diagnostic.code.as_str(),
        "severity": match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        },
        "message": diagnostic.message,
        "file": place.as_ref().map(|place| place.path.to_string_lossy()),
        "line": place.as_ref().map(|place| place.line),
        "column": place.as_ref().map(|place| place.column),
        "notes": diagnostic.notes,
        "hint": diagnostic.hint,
        "edits": edits,
    })
}

/// The rows of a word, one for each block that knows it.
fn explain(word: &str) -> ExitCode {
    let rows: Vec<(BlockKind, &Keyword)> = BlockKind::ALL
        .into_iter()
        .filter_map(|block| Some((block, keywords::find(block, word)?)))
        .collect();
    if rows.is_empty() {
        let names = BlockKind::ALL
            .into_iter()
            .flat_map(keywords::rows)
            .flat_map(Keyword::names);
        let hint = crate::config::nearest(word, names)
            .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        super::say(&format!("no keyword `{word}` is known{hint}"));
        return ExitCode::from(2);
    }
    let texts: Vec<String> = rows
        .iter()
        .map(|(block, row)| describe(*block, row))
        .collect();
    print(&texts.join("\n"));
    ExitCode::SUCCESS
}

fn describe(block: BlockKind, row: &Keyword) -> String {
    let place = block
        .keyword()
        .map_or("outside all blocks".to_owned(), |b| format!("in `{b}`"));
    let body = if row.body == Body::None {
        ""
    } else {
        " { ... }"
    };
    let mut text = format!(
        "{}{}{body}    {place}\n  {}\n",
        row.name,
        arguments(row),
        row.doc
    );
    if !row.aliases.is_empty() {
        text.push_str(&format!("  other names: {}\n", row.aliases.join(", ")));
    }
    if let Some(range) = range(row) {
        text.push_str(&format!("  range: {range}\n"));
    }
    if !row.default.is_empty() {
        text.push_str(&format!("  default: {}\n", row.default));
    }
    match row.support {
        Support::Acts => {}
        Support::NoEffect(why) => text.push_str(&format!("  no effect in vipd: {why}\n")),
        Support::Refused(why) => text.push_str(&format!("  refused by vipd: {why}\n")),
        Support::VipdOwn => {
            text.push_str("  vipd's own: stands on a line that begins with @vipd\n")
        }
    }
    text
}

fn arguments(row: &Keyword) -> String {
    match row.arguments {
        Arguments::None => String::new(),
        Arguments::Bool => " [on|off]".to_owned(),
        Arguments::One(kind) => format!(" {}", placeholder(kind)),
        Arguments::Optional(kind) => format!(" [{}]", placeholder(kind)),
        Arguments::Command => " COMMAND [USER [GROUP]]".to_owned(),
        Arguments::Words(0, _) => " [WORD...]".to_owned(),
        Arguments::Words(..) => " WORD...".to_owned(),
    }
}

fn placeholder(kind: Type) -> String {
    match kind {
        Type::Integer(..) => "NUMBER".to_owned(),
        Type::Seconds(..) => "SECONDS".to_owned(),
        Type::Millis(..) => "MILLISECONDS".to_owned(),
        Type::Choice(words) => words.join("|"),
        Type::Address => "ADDRESS".to_owned(),
        Type::Interface => "INTERFACE".to_owned(),
        Type::Text => "TEXT".to_owned(),
    }
}

fn range(row: &Keyword) -> Option<String> {
    let (Arguments::One(kind) | Arguments::Optional(kind)) = row.arguments else {
        return None;
    };
    match kind {
        Type::Integer(min, max) => Some(format!("{min} to {max}")),
        Type::Millis(min, max) => Some(format!("{} to {} ms", min / 1000, max / 1000)),
        Type::Seconds(min, max) => {
            let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
            Some(format!("{} to {} seconds", seconds(min), seconds(max)))
        }
        Type::Choice(_) | Type::Address | Type::Interface | Type::Text => None,
    }
}
