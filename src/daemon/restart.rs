//! After a fault of our own (a thread panicked): the process starts itself again in place, same process
//! id, and goes the way of a start after a crash, so that VIPs and connections stay. The third time
//! within a minute it lets go of the VIPs and ends with status 70.

use std::convert::Infallible;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::kernel::clock;
use crate::kernel::namespace::Namespace;

/// When it was started again, in seconds since boot, newest last.
const VARIABLE: &str = "VIPD_RESTARTS";
const WITHIN: Duration = Duration::from_secs(60);
const RESTARTS_MAX: usize = 2;

/// Whether this process is one that was started again.
pub(super) fn is_resumed() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts again in place, if it may, in the network namespace that it was started in, if it has left that.
///
/// # Errors
/// Returns only when it may not or cannot, with the reason.
pub(super) fn again(start: Option<&Namespace>) -> Result<Infallible, String> {
    let now_s = clock::now().as_nanos() / 1_000_000_000;
    let recent = |at: &u64| now_s.saturating_sub(*at) < WITHIN.as_secs();
    let past = std::env::var(VARIABLE).unwrap_or_default();
    let mut times: Vec<u64> = past
        .split(',')
        .filter_map(|at| at.parse().ok())
        .filter(recent)
        .collect();
    if times.len() >= RESTARTS_MAX {
        return Err(format!(
            "{} faults within {} s",
            times.len() + 1,
            WITHIN.as_secs()
        ));
    }
    times.push(now_s);
    let times: Vec<String> = times.iter().map(u64::to_string).collect();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    if let Some(called) = std::env::args_os().next() {
        command.arg0(called);
    }
    let here = Namespace::current().map_err(|error| error.to_string())?;
    if let Some(start) = start {
        start.enter().map_err(|error| error.to_string())?;
    }
    let error = command
        .args(std::env::args_os().skip(1))
        .env(VARIABLE, times.join(","))
        .exec();
    here.enter().map_err(|error| error.to_string())?;
    Err(format!("start again: {error}"))
}
