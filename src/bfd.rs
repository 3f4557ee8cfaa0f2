//! Bidirectional Forwarding Detection: one pure state machine for each session (RFC 5880, asynchronous
//! mode; RFC 5881 and RFC 5883 say where packets come from). No socket and no clock is touched here:
//! packets and the time come in, [`Action`]s go out, and [`Session::next_deadline`] says when to come back.
//!
//! Not offered: authentication, the echo function, and demand mode of our own. A neighbor in demand mode
//! is served as it asks.

mod event;
mod jitter;
mod receive;
mod session;

pub use event::{Action, Input, Note, Reason, Timer};
pub use receive::{Rejection, check_hops, hops_sent};
pub use session::{SLOW_TX_MIN, Session};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::model::{BfdInstance, Weight};

    /// 50 ms both ways, three packets may be missed.
    pub(super) fn config() -> BfdInstance {
        BfdInstance {
            name: "peer".to_owned(),
            neighbor: "10.0.0.2".parse().unwrap(),
            source: None,
            min_rx: Duration::from_millis(50),
            min_tx: Duration::from_millis(50),
            idle_tx: Duration::from_secs(1),
            multiplier: 3,
            passive: false,
            ttl: None,
            max_hops: 0,
            multihop: false,
            weight: Weight::Fault,
            for_vrrp: true,
            for_checker: true,
        }
    }
}
