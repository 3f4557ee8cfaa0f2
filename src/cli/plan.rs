//! `vipd plan`: what a configuration asks of the kernel.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::config::Style;
use crate::daemon::prepare;
use crate::ipvs;
use crate::lvs;

use super::args::Reading;

/// Print what a configuration asks of the kernel, without touching it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0, or 2 when the configuration has errors.

Example:
  vipd plan --offline --format ipvsadm /etc/keepalived/keepalived.conf")]
pub struct PlanArgs {
    /// The configuration [default: as for the daemon]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Do not look at the kernel: print the whole desired state before any check has run
    #[arg(long, required = true)]
    offline: bool,

    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    reading: Reading,
}

/// Shapes of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The IPVS table as `ipvsadm -Sn` prints it
    #[default]
    Ipvsadm,
}

/// Runs the command.
pub(super) fn run(args: &PlanArgs) -> ExitCode {
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
    let table: ipvs::Table = config
        .virtual_servers
        .iter()
        .flat_map(lvs::before_checks)
        .collect();
    let Format::Ipvsadm = args.format;
    let _ = std::io::stdout().write_all(ipvs::save(&table).as_bytes());
    ExitCode::SUCCESS
}
