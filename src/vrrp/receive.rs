//! Whether an advert that came in may be believed: everything that does not depend on the state.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::config::model::{Auth, Instance, Transport};
use crate::units::Version;
use crate::wire::vrrp::{Advert, AuthField};

use super::Heard;

/// Why an advert was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// It crossed a router: TTL is not 255 (RFC 3768 section 7.1).
    Ttl(u8),
    /// It speaks another version of VRRP.
    Version(Version),
    /// Its authentication is of another type.
    AuthType,
    /// Its password is another one.
    AuthPassword,
    /// Its interval is another one (version 2 only).
    Interval {
        /// Theirs.
        theirs: Duration,
    },
    /// It was sent to the multicast group, and we use unicast.
    MulticastUnexpected,
    /// It was sent to us alone, and we use multicast.
    UnicastUnexpected,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Ttl(ttl) => write!(f, "its TTL is {ttl}, not 255: it came through a router"),
            Rejection::Version(Version::V2) => f.write_str("it is VRRP version 2, ours is 3"),
            Rejection::Version(Version::V3) => f.write_str("it is VRRP version 3, ours is 2"),
            Rejection::AuthType => {
                f.write_str("its auth_type is another one: make authentication the same on both")
            }
            Rejection::AuthPassword => {
                f.write_str("its auth_pass is another one: make authentication the same on both")
            }
            Rejection::Interval { theirs } => write!(
                f,
                "its advert_int is {} s: make advert_int the same on both",
                theirs.as_secs_f64()
            ),
            Rejection::MulticastUnexpected => {
                f.write_str("it was sent by multicast, and we have unicast_peer")
            }
            Rejection::UnicastUnexpected => {
                f.write_str("it was sent by unicast, and we have no unicast_peer")
            }
        }
    }
}

/// Counts rejections and remembers which were told since the state last changed, so that each is
/// logged once and not with every advert.
#[derive(Clone, Debug, Default)]
pub struct Rejections {
    total: u64,
    told: Vec<Rejection>,
}

impl Rejections {
    /// Different rejections that are told apart between two changes of state.
    const TOLD_MAX: usize = 8;

    /// Counts one; true when it should be told.
    pub fn count(&mut self, rejection: Rejection) -> bool {
        self.total = self.total.saturating_add(1);
        let news = !self.told.contains(&rejection) && self.told.len() < Self::TOLD_MAX;
        if news {
            self.told.push(rejection);
        }
        news
    }

    /// The state changed: each may be told again.
    pub fn forget(&mut self) {
        self.told.clear();
    }

    /// How many adverts were dropped so far.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Checks an advert that was parsed (form, checksum and VRID are right already) in keepalived's
/// order: TTL, version, authentication, interval, how it was sent.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(
    config: &Instance,
    advert: &Advert,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
) -> Result<Heard, Rejection> {
    let multicast = matches!(config.transport, Transport::Multicast(_));
    // keepalived: unicast adverts may have crossed routers unless min_ttl says otherwise.
    if multicast && ttl != 255 {
        return Err(Rejection::Ttl(ttl));
    }
    if advert.version != config.version {
        return Err(Rejection::Version(advert.version));
    }
    if config.version == Version::V2 {
        check_authentication(config, &advert.auth)?;
        if config.advert_int.get() != advert.interval() {
            return Err(Rejection::Interval {
                theirs: advert.interval(),
            });
        }
    }
    match (multicast, destination.is_multicast()) {
        (true, false) => return Err(Rejection::UnicastUnexpected),
        (false, true) => return Err(Rejection::MulticastUnexpected),
        _ => {}
    }
    Ok(Heard {
        source,
        priority: advert.priority,
        interval: config.advert_int.get(),
    })
}

/// RFC 2338 section 5.3.6; without authentication the field is not looked at.
fn check_authentication(config: &Instance, auth: &AuthField) -> Result<(), Rejection> {
    match (config.auth, auth) {
        (None, AuthField::None) => Ok(()),
        (Some(Auth::Pass(ours)), AuthField::Pass(theirs)) if ours == *theirs => Ok(()),
        (Some(Auth::Pass(_)), AuthField::Pass(_)) => Err(Rejection::AuthPassword),
        _ => Err(Rejection::AuthType),
    }
}
