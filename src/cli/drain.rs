//! `vipd drain` and `vipd undrain`: servers that are taken out of their pools, and let in again.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;

use crate::control::model::{Done, Draining};
use crate::engine::balancer::Whom as Server;

use super::client::{Whom, quoted};

/// How often it is looked how many connections are left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Take a server out of its pools: no new connections, and those that it has may end
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It says how many connections are left, until the server is out. Ending this command changes nothing about that.
The server stays out, over reloads and restarts of vipd, until `vipd undrain`.

Exit status: 0 it is out, else 1.

Example:
  vipd drain 10.1.0.1:80 --for 5m")]
pub struct DrainArgs {
    /// Address, or address and port
    #[arg(value_name = "SERVER")]
    server: Server,

    /// How long connections may last; then the server is removed all the same [default: as configured, else 5m]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,

    /// Do not wait until it is out
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    whom: Whom,
}

/// Let a server in again that was drained
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  vipd undrain 10.1.0.1:80")]
pub struct UndrainArgs {
    /// Address, or address and port
    #[arg(value_name = "SERVER")]
    server: Server,

    #[command(flatten)]
    whom: Whom,
}

/// Runs `vipd drain`.
pub(super) fn drain(args: &DrainArgs) -> Result<ExitCode, String> {
    let server = quoted(&args.server.to_string());
    let mut path = format!("/v1/servers/{server}/drain");
    if let Some(limit) = args.limit {
        path.push_str(&format!("?for={}", limit.as_secs()));
    }
    let done: Done = args.whom.ask(Method::POST, &path)?.done()?;
    say(&done.done);
    if !args.no_wait {
        wait(&args.whom, &server)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Until the server is out; says how many connections are left.
fn wait(whom: &Whom, server: &str) -> Result<(), String> {
    let mut told = None;
    loop {
        let path = format!("/v1/servers/{server}/progress");
        let draining: Draining = whom.ask(Method::GET, &path)?.done()?;
        if draining.left == 0 {
            say("it is out");
            return Ok(());
        }
        if let Some(count) = draining.connections
            && told != Some(count)
        {
            told = Some(count);
            say(&format!("{count} connections are left"));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "this process does nothing but wait for another one"
        )]
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Runs `vipd undrain`.
pub(super) fn undrain(args: &UndrainArgs) -> Result<ExitCode, String> {
    let path = format!("/v1/servers/{}/undrain", quoted(&args.server.to_string()));
    let done: Done = args.whom.ask(Method::POST, &path)?.done()?;
    say(&done.done);
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
