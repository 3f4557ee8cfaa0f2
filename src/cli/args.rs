//! The command line: what vipd is to do.

mod run;
mod without_effect;

use std::ffi::OsString;

use clap::Parser;

pub use run::{Reading, RunArgs};
pub use without_effect::WithoutEffect;

use super::check::CheckArgs;
use super::doctor::DoctorArgs;
use super::events::EventsArgs;
use super::genhash::GenhashArgs;
use super::import::ImportArgs;
use super::init::InitArgs;
use super::manual::ManualArgs;
use super::orders::{AnnounceArgs, FailoverArgs, ReloadArgs, StopArgs};
use super::overrides::{DrainArgs, PauseArgs, ResumeArgs, UndrainArgs, WeightArgs};
use super::plan::PlanArgs;
use super::standby::StandbyArgs;
use super::status::StatusArgs;
use super::top::TopArgs;
use super::why::WhyArgs;

/// Keeps a service reachable at a virtual IP: VRRP, health checks and IPVS, from the keepalived.conf you
/// have.
#[derive(Clone, Debug, Parser)]
// An option may be given more than once, as getopt takes them: the last one holds.
#[command(
    args_override_self = true,
    name = "vipd",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "\
Examples:
  vipd check /etc/keepalived/keepalived.conf    say what is wrong with a file, change nothing
  vipd -nlD                                     run in the foreground, log to the terminal, in detail
  vipd -n -l -s blue                            a second vipd, in the network namespace blue

Signals: HUP reads the configuration again, TERM and INT stop.
Exit status: 0 ended or fine, 1 cannot run, 2 errors in the configuration, 4 no permission, 6 no
configuration, 70 a fault of vipd's own. With -t: 0 fine, 4 errors, 5 warnings only, 6 a script
that root runs and others may replace."
)]
pub struct Args {
    /// The daemon's flags.
    #[command(flatten)]
    pub run: RunArgs,

    /// Something else than to run.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The daemon's flags and nothing else.
#[derive(Parser)]
#[command(args_override_self = true, version, disable_version_flag = true)]
struct Alone {
    #[command(flatten)]
    run: RunArgs,
}

impl Args {
    /// Reads a command line. What is wrong with it, and help, end the program.
    pub fn of(line: &[OsString]) -> Args {
        let flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
        // A daemon starts faster without two dozen commands that it was not given.
        if line.get(1).is_none_or(flag)
            && let Ok(Alone { run }) = Alone::try_parse_from(line)
        {
            return Args { run, command: None };
        }
        Args::parse_from(line)
    }
}

/// What is done instead of running.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Say everything that is wrong with configuration files, change nothing
    Check(CheckArgs),
    /// Print what a configuration would change, without changing anything
    Plan(PlanArgs),
    /// Say what is wrong with this machine and its network, and what to do
    Doctor(DoctorArgs),
    /// Write a configuration for one of the common cases
    Init(InitArgs),
    /// Make a configuration of what another program was told
    Import(ImportArgs),
    /// Write man pages and completions for shells
    Manual(ManualArgs),
    /// Print the MD5 digest of a page, for `digest` of HTTP_GET and SSL_GET
    Genhash(GenhashArgs),
    /// Have this node yield all its addresses, and stay so until told otherwise
    Standby(StandbyArgs),
    /// Show what the vipd that runs does, and why
    Status(StatusArgs),
    /// Show what vipd does, live in the terminal
    Top(TopArgs),
    /// Say why something is as it is
    Why(WhyArgs),
    /// Show what happened
    Events(EventsArgs),
    /// Have the configuration read again, and say what came of it
    Reload(ReloadArgs),
    /// Have vipd end, with what it holds let go or, with --keep, left for the next
    Stop(StopArgs),
    /// Hand an instance over to another router, once
    Failover(FailoverArgs),
    /// Tell the network again where the addresses of an instance are
    Announce(AnnounceArgs),
    /// Take a server out of its pools: no new connections, and those that it has may end
    Drain(DrainArgs),
    /// Let a server in again that was drained
    Undrain(UndrainArgs),
    /// Give a server another weight than the configured one
    Weight(WeightArgs),
    /// Do not check servers for the time being
    Pause(PauseArgs),
    /// Check servers again that `vipd pause` named
    Resume(ResumeArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::options::STAND_IN_FILE;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn keepalived_flags_run_together_are_understood() {
        let args =
            Args::try_parse_from(["vipd", "-nlBDGf", "a.conf", "-p/run/x.pid", "-R"]).unwrap();
        let args = args.run;
        assert!(args.dont_fork && args.log_console && args.no_syslog);
        assert_eq!(args.file, Some("a.conf".into()));
        assert_eq!(args.without_effect.given(), ["--dont-respawn"]);
        assert!(args.options().without_bfd);
    }

    #[test]
    fn an_option_may_be_repeated_as_getopt_takes_it() {
        let words = "keepalived -n -l -D -f a.conf --dont-fork --log-console -f b.conf";
        let args = Args::try_parse_from(words.split(' ')).unwrap().run;
        assert!(args.dont_fork && args.log_console);
        assert_eq!(args.file, Some("b.conf".into()));
    }

    #[test]
    fn by_keepalived_s_name_it_reads_keepalived_s_file() {
        let called = |words: &[&str]| {
            let mut args = Args::parse_from(words).run;
            args.called_by(words.first().map(OsString::from));
            args.options()
        };
        let options = called(&["/usr/sbin/keepalived", "-d", "-M", "-u", "022"]);
        assert!(options.stand_in);
        assert_eq!(options.file, Some(STAND_IN_FILE.into()));
        assert_eq!(options.log.ident, "Keepalived");
        assert_eq!(options.umask, Some(0o22));
        assert_eq!(
            options.without_effect,
            ["--core-dump-pattern", "--dump-conf"]
        );
        let options = called(&["keepalived", "-e", "-f", "x"]);
        assert_eq!(options.file, Some("x".into()));
        assert!(options.reading.every_file);
        let options = called(&["/usr/sbin/vipd"]);
        assert!(!options.stand_in && options.file.is_none());
    }

    #[test]
    fn the_daemon_s_flags_are_read_alone_and_everything_else_in_full() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let whole = |text: &str| Args::try_parse_from(line(text)).unwrap();
        for text in [
            "vipd -n -l -f a.conf",
            "vipd --vrrp -D -D",
            "vipd check a.conf",
            "vipd",
        ] {
            let (of, whole) = (Args::of(&line(text)), whole(text));
            assert_eq!(format!("{of:?}"), format!("{whole:?}"));
        }
        Alone::command().debug_assert();
    }
}
