//! The daemon: threads, signals, files.

pub mod balancer_thread;
pub mod logging;
pub mod record;
pub mod run_dir;
