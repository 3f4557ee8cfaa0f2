//! `vipd reload`, `vipd stop`, `vipd failover`, `vipd announce`: what the vipd that runs is told to do.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;

use crate::control::model::{Done, Reload};

use super::client::{Whom, quoted};
use super::plan;

/// Have the configuration read again, and say what came of it
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
A configuration with an error changes nothing: the one that runs stays in force.

Exit status: 0 it is in force, 2 it was refused, 1 no vipd answers.")]
pub struct ReloadArgs {
    #[command(flatten)]
    whom: Whom,
}

/// Longer than a daemon may take to let everything go.
const STOP_MAX: Duration = Duration::from_secs(40);

/// Have vipd end
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Every address is handed over first, without a gap, then what stands behind it is removed. With --keep
addresses, links and the IPVS table stay as they are, and with them every connection: for a restart or
an upgrade. Start it again at once then: other routers hear nothing meanwhile, and take over when their
time is out. With a configuration that the next one would refuse, it goes on and says why.

Exit status: 0 it has ended, else 1.

Example:
  vipd stop --keep && vipd -f /etc/vipd/vipd.conf")]
pub struct StopArgs {
    /// Leave addresses and services where they are, for whoever starts next
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    whom: Whom,
}

/// Hand an instance over to another router, once
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The others of its sync group go with it. Who was handed over is not taken back while the other one is
master, whatever the priorities are.

Exit status: 0 another router is master, else 1.

Example:
  vipd failover VI_1")]
pub struct FailoverArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    name: String,

    #[command(flatten)]
    whom: Whom,
}

/// Tell the network again where the addresses of an instance are
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  vipd announce VI_1")]
pub struct AnnounceArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    name: String,

    #[command(flatten)]
    whom: Whom,
}

/// Runs `vipd reload`.
pub(super) fn reload(args: &ReloadArgs) -> Result<ExitCode, String> {
    let answer = args.whom.ask(Method::POST, "/v1/reload")?;
    let reload: Reload = match answer.json() {
        Ok(reload) => reload,
        Err(_) => {
            return Err(answer
                .done::<Done>()
                .map_or_else(|error| error, |done| done.done));
        }
    };
    let (text, code) = result(&reload);
    let written = match reload.done {
        true => std::io::stdout().write_all(text.as_bytes()),
        false => std::io::stderr().write_all(text.as_bytes()),
    };
    let _ = written;
    Ok(code)
}

fn result(reload: &Reload) -> (String, ExitCode) {
    let mut text = String::new();
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    for warning in &reload.warnings {
        line(warning);
    }
    if !reload.done {
        for error in &reload.errors {
            line(error);
        }
        line("vipd: reload refused, the running configuration stays in force");
        return (text, ExitCode::from(2));
    }
    match reload.changes.is_empty() {
        true => line("reloaded, nothing changed"),
        false => line("reloaded:"),
    }
    for change in &reload.changes {
        line(&format!("  {change}"));
    }
    if let Some(plan) = reload.plan.as_ref().filter(|plan| !plan.kernel.is_empty()) {
        text.push_str(&plan::kernel(plan));
    }
    (text, ExitCode::SUCCESS)
}

/// Runs `vipd stop`.
pub(super) fn stop(args: &StopArgs) -> Result<ExitCode, String> {
    let there = args.whom.is_there();
    match args
        .whom
        .ask(Method::POST, &format!("/v1/stop?keep={}", args.keep))
    {
        Ok(answer) => drop(answer.done::<Done>()?),
        // It may end before it has answered.
        Err(error) if !there || args.whom.wait_end(STOP_MAX).is_err() => return Err(error),
        Err(_) => {}
    }
    args.whom.wait_end(STOP_MAX)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `vipd failover`.
pub(super) fn failover(args: &FailoverArgs) -> Result<ExitCode, String> {
    order(&args.whom, &args.name, "failover")
}

/// Runs `vipd announce`.
pub(super) fn announce(args: &AnnounceArgs) -> Result<ExitCode, String> {
    order(&args.whom, &args.name, "announce")
}

fn order(whom: &Whom, name: &str, what: &str) -> Result<ExitCode, String> {
    let path = format!("/v1/instances/{}/{what}", quoted(name));
    let done: Done = whom.ask(Method::POST, &path)?.done()?;
    let _ = writeln!(std::io::stdout(), "{}", done.done);
    Ok(ExitCode::SUCCESS)
}
