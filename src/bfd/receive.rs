//! Whether a well-formed packet may reach its session.

use std::fmt;
use std::net::IpAddr;

use crate::config::model::BfdInstance;
use crate::wire::bfd::PacketError;

/// Of `max_hops`: do not look.
const ANY_NUMBER_OF_HOPS: i16 = 255;
/// RFC 5881 section 5: a packet that no router has passed on.
const HOPS_FULL: u8 = 255;
/// keepalived sends this from IPv6 unless it is told otherwise, so no more can be asked for.
const HOPS_V6: u8 = 64;

/// Why a packet does not reach a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is none, or none for us.
    Malformed(PacketError),
    /// More routers have passed it on than `max_hops`.
    TooFar {
        /// TTL or hop limit as it came in.
        hops: u8,
        /// The least that is let in.
        least: i16,
    },
    /// It names the session, but comes from somebody else than the neighbor.
    Stranger(IpAddr),
    /// It comes from the neighbor and names no session of ours: it speaks to one that ended.
    UnknownSession(u32),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Malformed(error) => error.fmt(f),
            Rejection::TooFar { hops, least } => write!(
                f,
                "its TTL or hop limit is {hops}, with this `max_hops` at least {least} is wanted"
            ),
            Rejection::Stranger(source) => {
                write!(f, "it names the session but comes from {source}")
            }
            Rejection::UnknownSession(discriminator) => {
                write!(f, "it names session {discriminator}, which there is not")
            }
        }
    }
}

/// TTL or hop limit of our packets: 255 unless the configuration has another (RFC 5881 section 5).
pub fn hops_sent(config: &BfdInstance) -> u8 {
    config.ttl.unwrap_or(HOPS_FULL)
}

/// keepalived's rule: what comes in is held against our own TTL or hop limit less `max_hops`.
pub fn check_hops(config: &BfdInstance, hops: u8) -> Result<(), Rejection> {
    if config.max_hops == ANY_NUMBER_OF_HOPS {
        return Ok(());
    }
    let full = match config.neighbor {
        IpAddr::V4(_) => HOPS_FULL,
        IpAddr::V6(_) => HOPS_V6,
    };
    let least = i16::from(config.ttl.unwrap_or(full)) - config.max_hops;
    if i16::from(hops) < least {
        return Err(Rejection::TooFar { hops, least });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bfd::tests::config;

    /// The least TTL or hop limit that is let in.
    fn least(neighbor: &str, ttl: Option<u8>, max_hops: i16) -> Option<u8> {
        let config = BfdInstance {
            neighbor: neighbor.parse().unwrap(),
            ttl,
            max_hops,
            ..config()
        };
        let let_in: Vec<u8> = (0..=255)
            .filter(|h| check_hops(&config, *h).is_ok())
            .collect();
        let first = *let_in.first()?;
        assert_eq!(let_in, (first..=255).collect::<Vec<u8>>());
        Some(first)
    }

    #[test]
    fn so_many_routers_and_no_more() {
        assert_eq!(least("10.0.0.2", None, 0), Some(255));
        assert_eq!(least("10.0.0.2", None, 3), Some(252));
        assert_eq!(least("10.0.0.2", Some(64), 3), Some(61));
        assert_eq!(least("10.0.0.2", None, 254), Some(1));
        assert_eq!(least("10.0.0.2", None, 255), Some(0));
        assert_eq!(least("10.0.0.2", Some(64), 200), Some(0));
        assert_eq!(least("10.0.0.2", None, -1), None);
        assert_eq!(least("fe80::2", None, 0), Some(64));
        assert_eq!(least("fe80::2", Some(255), 0), Some(255));
    }
}
