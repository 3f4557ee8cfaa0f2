//! The daemon: threads, signals, files.

pub mod logging;
pub mod record;
pub mod run_dir;
