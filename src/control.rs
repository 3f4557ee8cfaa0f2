//! The control socket: what vipd does and why, told over HTTP, and the few orders that it takes.
//!
//! Nothing here is in anybody's way. The threads that matter are asked for a view of themselves, at most
//! a few times a second whoever asks, and answer with values that they have anyway; rendering, sending
//! and waiting for slow readers is main's.

pub mod api;
mod desk;
mod events;
pub mod keepalived;
mod metrics;
pub mod model;
mod orders;
mod overrides;
mod page;
mod plan;
mod routes;
mod schema;
mod server;
mod status;
pub mod words;

pub use desk::{Ask, Desk, Facts};
pub use events::{Events, Intake, Level, Log, new as events};
pub use orders::changes;
pub use plan::{Rehearsed, from_nothing, plan, table};
pub use server::{Address, Serving, serve_on, start};

/// This moment, as it is told.
pub fn now() -> model::Stamp {
    desk::stamp(crate::kernel::clock::now())
}
