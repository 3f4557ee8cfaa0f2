//! `vipd plan`: what a configuration would change, or from nothing what it asks of the kernel.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use hyper::Method;

use crate::config::Style;
use crate::control;
use crate::control::model::{Change, Kind, Plan, Verb};
use crate::daemon::prepare;

use super::args::Reading;
use super::client::{Whom, quoted};

/// Print what a configuration would change, without changing anything
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The vipd that runs reads FILE (without FILE: its own again) and says what a reload would do then: to services and
servers, with the connections that those have which go, to addresses, routes and rules. Nothing is changed.

Exit status: 0, or 2 when the configuration has errors, or 1 when no vipd answers.

Examples:
  vipd plan                                   what `vipd reload` would do
  vipd plan new.conf                          what it would do with another file
  vipd plan --format ipvsadm new.conf         as arguments of ipvsadm
  vipd plan --offline --format ipvsadm /etc/keepalived/keepalived.conf
                                              the whole IPVS table, without a vipd that runs")]
pub struct PlanArgs {
    /// The configuration [default: the one that the daemon runs with; with --offline as for the daemon]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Ask no vipd and look at no kernel: print everything that the configuration asks for before any
    /// check has run
    #[arg(long)]
    offline: bool,

    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    whom: Whom,
}

/// Shapes of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for each change
    #[default]
    Text,
    /// Arguments of ipvsadm; with --offline the table as `ipvsadm -Sn` prints it
    Ipvsadm,
    /// For programs
    Json,
}

/// Runs the command.
pub(super) fn run(args: &PlanArgs) -> ExitCode {
    if args.offline {
        return offline(args);
    }
    live(args).unwrap_or_else(|error| {
        super::say(&error);
        ExitCode::FAILURE
    })
}

fn live(args: &PlanArgs) -> Result<ExitCode, String> {
    if args.reading.is_given() {
        return Err(
            "--config-id and --compat are the daemon's, as it was started; they go with --offline"
                .to_owned(),
        );
    }
    let mut path = "/v1/plan".to_owned();
    if let Some(file) = &args.file {
        let file = std::path::absolute(file)
            .map_err(|error| format!("{}: {}", file.display(), crate::errno::Words(&error)))?;
        let Some(file) = file.to_str() else {
            return Err(format!("{}: the name is not UTF-8", file.display()));
        };
        let _ = write!(path, "?file={}", quoted(file));
    }
    let answer = args.whom.ask(Method::POST, &path);
    let answer = answer.map_err(|error| {
        format!("{error}; `vipd plan --offline FILE` needs none and prints the whole desired state")
    })?;
    let plan: Plan = match answer.json() {
        Ok(plan) => plan,
        Err(_) => answer.done()?,
    };
    Ok(print(&plan, args.format, None))
}

fn offline(args: &PlanArgs) -> ExitCode {
    let file = match prepare::config_file(args.file.as_deref()) {
        Ok(file) => file,
        Err(failure) => {
            super::say(&failure.text);
            return ExitCode::from(2);
        }
    };
    let loaded = prepare::load(&file, &args.reading.options());
    if !loaded.diagnostics.is_empty() {
        let _ = std::io::stderr().write_all(loaded.render(Style::Concise).as_bytes());
    }
    // What this version cannot run yet is understood all the same: its plan can be seen.
    let Some(config) = &loaded.config else {
        return ExitCode::from(2);
    };
    let plan = Plan {
        configuration: file.display().to_string(),
        ..control::from_nothing(config)
    };
    print(&plan, args.format, Some(control::table(config)))
}

/// `table`: what stands in the place of the changes of IPVS.
fn print(plan: &Plan, format: Format, table: Option<String>) -> ExitCode {
    if !plan.errors.is_empty() && format != Format::Json {
        let _ = std::io::stderr().write_all(lines(&plan.errors).as_bytes());
        super::say(&format!("{} has errors", plan.configuration));
        return ExitCode::from(2);
    }
    if format != Format::Json {
        let _ = std::io::stderr().write_all(lines(&plan.warnings).as_bytes());
    }
    let text = match format {
        Format::Text => words(plan),
        Format::Ipvsadm => table.unwrap_or_else(|| lines(&plan.ipvsadm)),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(plan).unwrap_or_default();
            text.push('\n');
            text
        }
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    match plan.errors.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(2),
    }
}

fn lines(all: &[String]) -> String {
    all.iter().fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}

fn words(plan: &Plan) -> String {
    if plan.settings.is_empty() && plan.kernel.is_empty() {
        return format!("{}: nothing changes\n", plan.configuration);
    }
    let mut text = format!("{}:\n", plan.configuration);
    for setting in &plan.settings {
        let _ = writeln!(text, "  {setting}");
    }
    text + &kernel(plan)
}

/// What changes in the kernel, a line each, and how many connections that ends.
pub(super) fn kernel(plan: &Plan) -> String {
    if plan.kernel.is_empty() {
        return "nothing changes in the kernel\n".to_owned();
    }
    let mut text = "in the kernel:\n".to_owned();
    for change in &plan.kernel {
        let _ = writeln!(text, "  {}", one(change));
    }
    let gone = plan.kernel.iter().filter(|c| c.change == Verb::Remove);
    let cut: u64 = gone.filter_map(|change| change.connections).sum();
    if cut > 0 {
        let _ = writeln!(text, "connections of what goes: {cut}");
    }
    text
}

fn one(change: &Change) -> String {
    let sign = match change.change {
        Verb::Add => '+',
        Verb::Change => '~',
        Verb::Remove => '-',
    };
    let (kind, joins) = match change.kind {
        Kind::Service => ("service", "of"),
        Kind::Server => ("server", "of"),
        Kind::SyncDaemon => ("sync daemon", "on"),
        Kind::Timeouts => ("timeouts", "of"),
        Kind::Address => ("address", "on"),
        Kind::Route => ("route", "on"),
        Kind::Rule => ("", "on"),
    };
    let mut text = format!(
        "{sign} {kind}{}{}",
        if kind.is_empty() { "" } else { " " },
        change.name
    );
    if let Some(of) = &change.of {
        let _ = write!(text, " {joins} {of}");
    }
    let _ = match (&change.before, &change.after) {
        (Some(before), Some(after)) if before == after => write!(text, ": {after}"),
        (Some(before), Some(after)) => write!(text, ": {before} -> {after}"),
        (Some(one), None) | (None, Some(one)) => write!(text, ": {one}"),
        (None, None) => Ok(()),
    };
    if let Some(count) = change.connections {
        let _ = match count {
            1 => write!(text, "; 1 connection"),
            count => write!(text, "; {count} connections"),
        };
    }
    if let Some(when) = &change.when {
        let _ = write!(text, "; {when}");
    }
    text
}
