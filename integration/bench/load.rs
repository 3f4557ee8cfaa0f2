//! Other work: processes that keep every CPU busy.

use crate::lab::check::Outcome;
use crate::lab::net::Host;
use crate::lab::process::Process;
use crate::lab::sys;

/// Runs on each CPU.
const PROCESSES_PER_CPU: usize = 2;
/// Turns of the loop that takes nothing but time.
const BUSY: &str = "while :; do i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; done";

/// Two processes for each CPU that never wait; killed when dropped.
pub(super) fn every_cpu(host: &Host) -> Outcome<Vec<Process>> {
    let count = sys::allowed_cpus().len() * PROCESSES_PER_CPU;
    (0..count)
        .map(|number| host.spawn(&format!("busy{number}"), &["/bin/sh", "-c", BUSY]))
        .collect()
}
