//! Trackers: each watches one thing outside and yields a fact about it. Pure: a tracker says when its
//! script is to be started and is told how it ended; who runs it is none of its business.

mod script;

pub use script::{ScriptAction, ScriptEnd, ScriptTracker};
