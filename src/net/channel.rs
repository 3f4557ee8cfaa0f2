//! Where adverts come in and go out.

use super::{Family, InterfaceIndex};

/// What a raw socket for adverts is bound to: everything that tells one from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel {
    /// The link; `None`: unicast on whatever link the routes say (an instance without `interface`).
    pub interface: Option<InterfaceIndex>,
    /// The family of the IP header.
    pub family: Family,
    /// IP protocol 51 in place of 112: adverts stand behind an authentication header (RFC 2402).
    pub authenticated: bool,
}
