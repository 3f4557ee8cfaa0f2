//! Why adverts were dropped, in words and in numbers.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::units::Version;
use crate::wire::ah::AhError;
use crate::wire::vrrp::AdvertError;

/// Why an advert was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// It is no message of VRRP, or its checksum is wrong.
    Malformed(AdvertError),
    /// It crossed a router: TTL is not 255 (RFC 9568 section 7.1).
    Ttl(u8),
    /// Its TTL is not within what `unicast_peer` says of its sender.
    TtlOfPeer(u8),
    /// It speaks another version of VRRP.
    Version(Version),
    /// Its authentication is of another type.
    AuthType,
    /// Its authentication is of a type that does not exist.
    AuthTypeUnknown(u8),
    /// Its password is another one.
    AuthPassword,
    /// Its authentication header is wrong.
    Seal(AhError),
    /// Its number is not higher than that of the sender's last one: somebody has recorded it.
    Replayed,
    /// Its interval is another one (version 2), or zero.
    Interval {
        /// Theirs.
        theirs: Duration,
    },
    /// It was sent to the multicast group, and we use unicast.
    MulticastUnexpected,
    /// It was sent to us alone, and we use multicast.
    UnicastUnexpected,
    /// It was sent to a group that is not ours.
    OtherGroup(IpAddr),
    /// Its sender is not in `unicast_peer` (`check_unicast_src`).
    NoPeer,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Malformed(error) => error.fmt(f),
            Rejection::Ttl(ttl) => write!(f, "its TTL is {ttl}, not 255: it came through a router"),
            Rejection::TtlOfPeer(ttl) => {
                write!(
                    f,
                    "its TTL is {ttl}: outside min_ttl and max_ttl of this peer"
                )
            }
            Rejection::Version(Version::V2) => f.write_str("it is VRRP version 2, ours is 3"),
            Rejection::Version(Version::V3) => f.write_str("it is VRRP version 3, ours is 2"),
            Rejection::AuthType => {
                f.write_str("its auth_type is another one: make authentication the same on both")
            }
            Rejection::AuthTypeUnknown(kind) => {
                write!(
                    f,
                    "its authentication is of type {kind}, which does not exist"
                )
            }
            Rejection::AuthPassword => {
                f.write_str("its auth_pass is another one: make authentication the same on both")
            }
            Rejection::Seal(error) => error.fmt(f),
            Rejection::Replayed => f.write_str("its sequence number was seen before"),
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
            Rejection::OtherGroup(group) => write!(f, "it was sent to the group {group}"),
            Rejection::NoPeer => f.write_str("its sender is not in unicast_peer"),
        }
    }
}

/// What an instance sent and got, each under the name that keepalived's statistics give it; those
/// below the line are only in its SNMP table. All count from the start of the daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts that were believed.
    pub advert_rcvd: u64,
    /// Adverts that were sent, to however many peers.
    pub advert_sent: u64,
    /// How often it became master.
    pub become_master: u64,
    /// How often it was master no more.
    pub release_master: u64,
    /// Dropped: of a length that no message has.
    pub packet_len_err: u64,
    /// Dropped: of another interval.
    pub advert_interval_err: u64,
    /// Dropped: of another TTL.
    pub ip_ttl_err: u64,
    /// Dropped: of another type than advertisement.
    pub invalid_type_rcvd: u64,
    /// Believed, though with other addresses than ours.
    pub addr_list_err: u64,
    /// Dropped: authentication of a type that does not exist.
    pub invalid_authtype: u64,
    /// Dropped: authentication of another type than ours.
    pub authtype_mismatch: u64,
    /// Dropped: another password, a broken seal, or a number seen before.
    pub auth_failure: u64,
    /// Goodbyes that were believed.
    pub pri_zero_rcvd: u64,
    /// Goodbyes that were sent.
    pub pri_zero_sent: u64,
    /// Dropped: of another version.
    pub vers_err: u64,
    /// Dropped: with a wrong checksum.
    pub chk_err: u64,
    /// Adverts of a master that did not come, told by the time between those before and behind them.
    pub advert_lost: u64,
    /// Dropped for what has no counter in keepalived: sent to whom it should not be, or by whom.
    pub other_err: u64,
}

/// Those of [`Counters`] that count what the router does itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnCounters {
    /// Adverts that were sent, to however many peers.
    pub advert_sent: u64,
    /// Goodbyes that were sent.
    pub pri_zero_sent: u64,
    /// How often it became master.
    pub become_master: u64,
    /// How often it was master no more.
    pub release_master: u64,
}

impl OwnCounters {
    /// All of them, with what was heard.
    pub(super) fn with(self, heard: Counters) -> Counters {
        Counters {
            advert_sent: self.advert_sent,
            pri_zero_sent: self.pri_zero_sent,
            become_master: self.become_master,
            release_master: self.release_master,
            ..heard
        }
    }
}

impl Counters {
    pub(super) fn count(&mut self, rejection: Rejection) {
        let counter = match rejection {
            Rejection::Malformed(AdvertError::BadChecksum { .. }) => &mut self.chk_err,
            Rejection::Malformed(AdvertError::BadVersion(_)) | Rejection::Version(_) => {
                &mut self.vers_err
            }
            Rejection::Malformed(AdvertError::BadType(_)) => &mut self.invalid_type_rcvd,
            Rejection::Malformed(AdvertError::TooShort { .. } | AdvertError::BadLength { .. }) => {
                &mut self.packet_len_err
            }
            Rejection::Ttl(_) | Rejection::TtlOfPeer(_) => &mut self.ip_ttl_err,
            Rejection::AuthType => &mut self.authtype_mismatch,
            Rejection::AuthTypeUnknown(_) => &mut self.invalid_authtype,
            Rejection::AuthPassword | Rejection::Seal(_) | Rejection::Replayed => {
                &mut self.auth_failure
            }
            Rejection::Interval { .. } => &mut self.advert_interval_err,
            Rejection::Malformed(AdvertError::BadVrid)
            | Rejection::MulticastUnexpected
            | Rejection::UnicastUnexpected
            | Rejection::OtherGroup(_)
            | Rejection::NoPeer => &mut self.other_err,
        };
        *counter = counter.saturating_add(1);
    }
}
