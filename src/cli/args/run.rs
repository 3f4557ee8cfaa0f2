//! The flags of the daemon: keepalived's, and vipd's own.

use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use clap::{ArgAction, ValueEnum};

use crate::config::{self, Compat};
use crate::daemon::logging;
use crate::daemon::options::{Options, Parts, RUN_DIR, STAND_IN, STAND_IN_FILE, STATE_DIR};
use crate::daemon::prepare;

use super::WithoutEffect;

/// The flags of the daemon.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Configuration file [default: /etc/vipd/vipd.conf, else /etc/keepalived/keepalived.conf]
    #[arg(
        short = 'f',
        long = "use-file",
        value_name = "FILE",
        help_heading = "Configuration"
    )]
    pub file: Option<PathBuf>,

    /// Check the configuration and end
    #[arg(
        short = 't',
        long = "config-test",
        value_name = "LOG",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        help_heading = "Configuration"
    )]
    pub config_test: Option<PathBuf>,

    /// How the configuration is read.
    #[command(flatten)]
    pub reading: Reading,

    /// Run in the foreground
    #[arg(short = 'n', long = "dont-fork", help_heading = "Process")]
    pub dont_fork: bool,

    /// Where everything is kept that vipd needs while it runs; one for each vipd on a machine
    /// [default: /run/vipd, or with net_namespace or instance a directory in it]
    #[arg(long, value_name = "DIR", help_heading = "Process")]
    pub run_dir: Option<PathBuf>,

    /// Where that is kept which outlives a reboot (`vipd standby`, `drain`, `weight`, `pause`)
    #[arg(
        long,
        value_name = "DIR",
        default_value = STATE_DIR,
        help_heading = "Process"
    )]
    pub state_dir: PathBuf,

    /// Run in this network namespace, whatever net_namespace in the configuration says
    #[arg(
        short = 's',
        long = "namespace",
        value_name = "NAME",
        help_heading = "Process"
    )]
    pub namespace: Option<String>,

    /// VRRP only: virtual servers in the configuration are not programmed
    #[arg(short = 'P', long = "vrrp", help_heading = "Process")]
    pub vrrp_only: bool,

    /// Virtual servers only: VRRP instances in the configuration do not run
    #[arg(
        short = 'C',
        long = "check",
        conflicts_with = "vrrp_only",
        help_heading = "Process"
    )]
    pub check_only: bool,

    /// BFD sessions in the configuration do not run; where one is tracked it counts as down
    #[arg(short = 'B', long = "no_bfd", help_heading = "Process")]
    pub no_bfd: bool,

    /// Pid file [default: vipd.pid in the run directory]
    #[arg(
        short = 'p',
        long = "pid",
        value_name = "FILE",
        help_heading = "Process"
    )]
    pub pid: Option<PathBuf>,

    /// Another pid file with the same number, for tools that look for keepalived's VRRP process
    #[arg(
        short = 'r',
        long = "vrrp_pid",
        value_name = "FILE",
        help_heading = "Process"
    )]
    pub vrrp_pid: Option<PathBuf>,

    /// The same for keepalived's checker process
    #[arg(
        short = 'c',
        long = "checkers_pid",
        value_name = "FILE",
        help_heading = "Process"
    )]
    pub checkers_pid: Option<PathBuf>,

    /// The same for keepalived's BFD process
    #[arg(
        short = 'b',
        long = "bfd_pid",
        value_name = "FILE",
        help_heading = "Process"
    )]
    pub bfd_pid: Option<PathBuf>,

    /// On stopping leave the VIPs where they are and say no goodbye
    #[arg(short = 'V', long = "dont-release-vrrp", help_heading = "Process")]
    pub dont_release_vrrp: bool,

    /// On stopping leave the IPVS table as it is
    #[arg(short = 'I', long = "dont-release-ipvs", help_heading = "Process")]
    pub dont_release_ipvs: bool,

    /// Mode bits that dump files do not get, whatever `umask` in the configuration says
    #[arg(
        short = 'u',
        long,
        value_name = "MASK",
        value_parser = parse_umask,
        help_heading = "Process"
    )]
    pub umask: Option<u32>,

    /// Do not stop on SIGINT
    #[arg(long, help_heading = "Process")]
    pub ignore_sigint: bool,

    /// Log to standard error
    #[arg(short = 'l', long = "log-console", help_heading = "Log")]
    pub log_console: bool,

    /// Log details; twice is the same
    #[arg(short = 'D', long = "log-detail", action = ArgAction::Count, help_heading = "Log")]
    pub log_detail: u8,

    /// Do not log to syslog
    #[arg(short = 'G', long = "no-syslog", help_heading = "Log")]
    pub no_syslog: bool,

    /// Syslog facility: 0 to 7 and local0 to local7 mean local0 to local7, or user, or daemon
    #[arg(
        short = 'S',
        long = "log-facility",
        value_name = "FACILITY",
        value_parser = parse_facility,
        default_value = "daemon",
        help_heading = "Log"
    )]
    pub log_facility: Facility,

    /// Log to a file too
    #[arg(
        short = 'g',
        long = "log-file",
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "/var/log/vipd.log",
        help_heading = "Log"
    )]
    pub log_file: Option<PathBuf>,

    /// How lines on standard error and in the file look
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Log"
    )]
    pub log_format: LogFormat,

    /// Print the number of a signal of keepalived's and end: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
    #[arg(long, value_name = "FUNCTION", help_heading = "Process")]
    pub signum: Option<String>,

    /// Print the version and end
    #[arg(short = 'v', long = "version", action = ArgAction::Version, help_heading = "Process")]
    version: Option<bool>,

    /// keepalived's flags that vipd has no use for.
    #[command(flatten)]
    pub without_effect: WithoutEffect,

    /// Called by the name `keepalived`.
    #[arg(skip)]
    stand_in: bool,
}

/// How a configuration is read.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub struct Reading {
    /// What lines that begin with @ID must name [default: the host name up to its first dot]
    #[arg(short = 'i', long = "config-id", value_name = "ID")]
    config_id: Option<String>,

    /// Every file that an include names must be there, as with includea
    #[arg(short = 'e', long = "all-config")]
    all_config: bool,

    /// Read slips in the configuration as this program does
    #[arg(long, value_enum, default_value_t, value_name = "PROGRAM")]
    compat: CompatArg,
}

impl Reading {
    /// Whether anything was said of it.
    pub fn is_given(&self) -> bool {
        self.config_id.is_some() || self.compat != CompatArg::default()
    }

    /// For the configuration's reader.
    pub fn options(&self) -> config::Options {
        config::Options {
            compat: match self.compat {
                CompatArg::Vipd => Compat::Vipd,
                CompatArg::Keepalived => Compat::Keepalived,
            },
            config_id: self.config_id.clone().unwrap_or_else(host_id),
            random_seed: seed(),
            every_file: self.all_config,
            ..config::Options::default()
        }
    }
}

impl RunArgs {
    /// By the name `keepalived` it stands in for that program: it reads its file, writes its pid file and
    /// bears its name.
    pub fn called_by(&mut self, name: Option<OsString>) {
        let name = name.as_deref().map(Path::new).and_then(Path::file_name);
        self.stand_in = name.is_some_and(|name| name == STAND_IN);
        if self.stand_in && self.file.is_none() {
            self.file = Some(STAND_IN_FILE.into());
        }
    }

    /// What the daemon is asked to do.
    pub fn options(&self) -> Options {
        let more = [&self.vrrp_pid, &self.checkers_pid, &self.bfd_pid];
        Options {
            file: self.file.clone(),
            reading: self.reading.options(),
            foreground: self.dont_fork,
            run_dir: self.run_dir.clone().unwrap_or_else(|| RUN_DIR.into()),
            state_dir: self.state_dir.clone(),
            run_dir_named: self.run_dir.is_some(),
            namespace: self.namespace.clone(),
            stand_in: self.stand_in,
            parts: match (self.vrrp_only, self.check_only) {
                (true, _) => Parts::Vrrp,
                (_, true) => Parts::Checks,
                _ => Parts::All,
            },
            pid_file: self.pid.clone(),
            more_pid_files: more.into_iter().flatten().cloned().collect(),
            without_bfd: self.no_bfd,
            keep_vips: self.dont_release_vrrp,
            keep_ipvs: self.dont_release_ipvs,
            ignore_sigint: self.ignore_sigint,
            umask: self.umask,
            log: logging::Options {
                console: self.log_console,
                syslog: !self.no_syslog,
                facility: self.log_facility.0,
                file: self.log_file.clone(),
                detail: self.log_detail > 0,
                json: self.log_format == LogFormat::Json,
                ident: if self.stand_in { "Keepalived" } else { "vipd" }.to_owned(),
            },
            without_effect: self.without_effect.given(),
        }
    }
}

/// What random numbers in the configuration are drawn from, for as long as this process runs.
fn seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// The host's name up to its first dot.
fn host_id() -> String {
    let name = prepare::host_name();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Whose reading of slips counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CompatArg {
    /// Slips whose meaning is plain are understood, each with a warning
    #[default]
    Vipd,
    /// As keepalived reads them
    Keepalived,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// An object in each line, with what it is about
    Json,
}

/// Number of a syslog facility (RFC 3164 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

fn parse_facility(text: &str) -> Result<Facility, String> {
    let local = text.strip_prefix("local").unwrap_or(text);
    match (text, local.parse::<u8>()) {
        ("user", _) => Ok(Facility(1)),
        ("daemon", _) => Ok(Facility(3)),
        (_, Ok(number @ 0..=7)) => Ok(Facility(16 + number)),
        _ => Err("not one of 0 to 7, local0 to local7, user, daemon".to_owned()),
    }
}

/// As strtol(3) reads it: 022 and 0x12 are what they are in C.
fn parse_umask(text: &str) -> Result<u32, String> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(hex), _) => (hex, 16),
        (None, Some(octal)) if !octal.is_empty() => (octal, 8),
        _ => (text, 10),
    };
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|umask| *umask <= 0o777)
        .ok_or_else(|| "not a number up to 0777".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_read_as_in_c() {
        for (text, mask) in [("022", Some(0o22)), ("18", Some(18)), ("0x12", Some(0x12))] {
            assert_eq!(parse_umask(text).ok(), mask);
        }
        assert_eq!(parse_umask("0"), Ok(0));
        assert!(parse_umask("01000").is_err() && parse_umask("x").is_err());
    }

    #[test]
    fn facilities_are_keepalived_s() {
        assert_eq!(parse_facility("2"), Ok(Facility(18)));
        assert_eq!(parse_facility("local7"), Ok(Facility(23)));
        assert_eq!(parse_facility("daemon"), Ok(Facility(3)));
        assert!(parse_facility("8").is_err());
    }
}
