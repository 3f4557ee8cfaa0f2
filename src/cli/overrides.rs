//! `vipd drain`, `undrain`, `weight`, `pause`, `resume`: what an operator wants otherwise than the
//! configuration, for a time or until further notice.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use hyper::Method;

use crate::control::model::{Done, Draining};
use crate::engine::balancer::Whom as Server;

use super::client::{Whom, quoted};

/// How often it is looked how many connections are left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What every order may say of itself.
#[derive(Clone, Debug, clap::Args)]
struct Terms {
    /// How long this holds; then it ends by itself [default: until it is taken back]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<Duration>,

    /// Why, for the log and for whoever looks
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Terms {
    /// Behind the question mark of a path.
    fn query(&self) -> String {
        let mut query = by();
        if let Some(lasts) = self.lasts {
            query += &format!("&for={}", lasts.as_secs());
        }
        if let Some(reason) = &self.reason {
            query += &format!("&reason={}", quoted(reason));
        }
        query
    }
}

/// Who sits at the terminal: sudo(8) knows who that was before.
fn by() -> String {
    match std::env::var("SUDO_USER") {
        Ok(name) if !name.is_empty() => format!("?by={}", quoted(&name)),
        _ => "?".to_owned(),
    }
}

/// Take a server out of its pools: no new connections, and those that it has may end
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It says how many connections are left, until the server is out. Ending this command changes nothing about that.
The server stays out, over reloads and restarts of vipd, until `vipd undrain` or the end of --for.

Exit status: 0 it is out, else 1.

Example:
  vipd drain 10.1.0.1:80 --grace 5m --reason 'new disk' --for 2h")]
pub struct DrainArgs {
    /// Address, or address and port
    #[arg(value_name = "SERVER")]
    server: Server,

    /// How long connections may last; then the server is removed all the same [default: as configured, else 5m]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    grace: Option<Duration>,

    /// Do not wait until it is out
    #[arg(long)]
    no_wait: bool,

    #[command(flatten)]
    terms: Terms,

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

/// Give a server another weight than the configured one
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
It counts as the configured one: checks that weigh, and slow_start, go on from it. It stays, over reloads and
restarts of vipd, until `vipd weight SERVER configured` or the end of --for.

Example:
  vipd weight 10.1.0.1:80 20 --for 30m --reason 'warming up'")]
pub struct WeightArgs {
    /// Address, or address and port
    #[arg(value_name = "SERVER")]
    server: Server,

    /// From 0 (no new connections) to 65535, or `configured`
    #[arg(value_name = "WEIGHT", value_parser = parse_weight)]
    weight: Weight,

    #[command(flatten)]
    terms: Terms,

    #[command(flatten)]
    whom: Whom,
}

/// A weight, or none of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight(Option<u16>);

fn parse_weight(text: &str) -> Result<Weight, String> {
    match text {
        "configured" => Ok(Weight(None)),
        _ => text
            .parse()
            .map(|weight| Weight(Some(weight)))
            .map_err(|_| "write a number from 0 to 65535, or `configured`".to_owned()),
    }
}

/// Do not check servers for the time being
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
What their checks said last holds: who was up stays in the pool, who was down stays out. It stays so, over
reloads and restarts of vipd, until `vipd resume` or the end of --for.

Examples:
  vipd pause 10.1.0.1:80 --for 10m --reason 'its health page is being moved'
  vipd pause 10.0.0.100:80                              all servers of a virtual server")]
pub struct PauseArgs {
    /// A server (address, or address and port), a virtual server or its group
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    terms: Terms,

    #[command(flatten)]
    whom: Whom,
}

/// Check servers again that `vipd pause` named
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  vipd resume 10.1.0.1:80")]
pub struct ResumeArgs {
    /// As it was named to `vipd pause`
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    whom: Whom,
}

/// Runs `vipd drain`.
pub(super) fn drain(args: &DrainArgs) -> Result<ExitCode, String> {
    let server = quoted(&args.server.to_string());
    let mut path = format!("/v1/servers/{server}/drain{}", args.terms.query());
    if let Some(grace) = args.grace {
        path += &format!("&grace={}", grace.as_secs());
    }
    order(&args.whom, &path)?;
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
    let server = quoted(&args.server.to_string());
    order(&args.whom, &format!("/v1/servers/{server}/undrain{}", by()))
}

/// Runs `vipd weight`.
pub(super) fn weight(args: &WeightArgs) -> Result<ExitCode, String> {
    let server = quoted(&args.server.to_string());
    let mut path = format!("/v1/servers/{server}/weight{}", args.terms.query());
    if let Weight(Some(weight)) = args.weight {
        path += &format!("&weight={weight}");
    }
    order(&args.whom, &path)
}

/// Runs `vipd pause`.
pub(super) fn pause(args: &PauseArgs) -> Result<ExitCode, String> {
    let path = format!(
        "/v1/checks/{}/pause{}",
        quoted(&args.name),
        args.terms.query()
    );
    order(&args.whom, &path)
}

/// Runs `vipd resume`.
pub(super) fn resume(args: &ResumeArgs) -> Result<ExitCode, String> {
    let path = format!("/v1/checks/{}/resume{}", quoted(&args.name), by());
    order(&args.whom, &path)
}

fn order(whom: &Whom, path: &str) -> Result<ExitCode, String> {
    let done: Done = whom.ask(Method::POST, path)?.done()?;
    say(&done.done);
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_or_the_configured_one() {
        assert_eq!(parse_weight("0"), Ok(Weight(Some(0))));
        assert_eq!(parse_weight("configured"), Ok(Weight(None)));
        assert!(parse_weight("65536").is_err() && parse_weight("-1").is_err());
    }

    #[test]
    fn what_an_order_says_of_itself_stands_behind_the_question_mark() {
        let terms = Terms {
            lasts: Some(Duration::from_secs(90)),
            reason: Some("new disk & more".to_owned()),
        };
        assert!(
            terms
                .query()
                .ends_with("&for=90&reason=new%20disk%20%26%20more"),
            "{}",
            terms.query()
        );
    }
}
