//! The demonstration: not written yet, so it says so and fails.

use std::process::ExitCode;
use std::time::Duration;

use crate::lab::check::{Failure, Outcome};
use crate::lab::{Case, Lab, host};

/// The demonstration as the guest runs it.
pub(crate) const CASE: Case = Case {
    name: "demo",
    proves: "the front door stays open while its parts fail",
    limit: Duration::from_secs(600),
    run,
};

/// What `scripts/demo` calls.
pub(crate) fn main(_args: &[String]) -> ExitCode {
    host::run_alone(
        &CASE,
        host::Options {
            memory_mb: 4096,
            ..host::Options::default()
        },
    )
}

fn run(_lab: &Lab) -> Outcome {
    Err(Failure::failed("the demonstration is not written yet"))
}
