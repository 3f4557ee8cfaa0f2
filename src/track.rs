//! Trackers: each watches one thing outside and yields a fact about it. Pure: a tracker says when its
//! script is to be started and is told how it ended, is handed what stands in a file and which processes
//! run; who runs and reads them is none of its business.

mod file;
mod process;
mod script;

pub use file::{FILE_BYTES_MAX, number_in};
pub use process::{Command, ProcessEvent, Processes};
pub use script::{ScriptAction, ScriptEnd, ScriptTracker};
