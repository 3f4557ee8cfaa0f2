//! How an instance sends its adverts, and which of others it believes, beyond what the RFC says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

/// Everything about it; each field has the default of its keyword filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdvertOptions {
    /// `unicast_ttl`: of adverts to peers; 255 when absent.
    pub ttl: u8,
    /// Options of `unicast_peer`s that have some.
    pub peers: BTreeMap<IpAddr, PeerOptions>,
    /// `check_unicast_src`, or `min_ttl` or `max_ttl` of any peer: adverts come from peers alone.
    pub check_source: bool,
    /// `old_unicast_checksum`.
    pub old_checksum: OldChecksum,
    /// `v3_checksum_as_v2`: checksums of version 3 over IPv4 cover the message alone, and such are
    /// believed too.
    pub v3_checksum_as_v2: bool,
    /// `track_src_ip`: a fault while no interface has the source address.
    pub track_source: bool,
    /// `unicast_fault_no_peer`, and there is none: a fault, for good.
    pub no_peer: bool,
    /// The group of the family, which multicast without `mcast_dst_ip` goes to.
    pub group: IpAddr,
    /// How many bytes the kernel may keep for this instance until they are read.
    pub receive_buffer: ReceiveBuffer,
}

impl AdvertOptions {
    /// The default of every keyword.
    pub fn new(group: IpAddr) -> AdvertOptions {
        AdvertOptions {
            ttl: 255,
            peers: BTreeMap::new(),
            check_source: false,
            old_checksum: OldChecksum::Detect,
            v3_checksum_as_v2: false,
            track_source: false,
            no_peer: false,
            group,
            receive_buffer: ReceiveBuffer::System,
        }
    }
}

/// TTL that adverts of a peer must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeerOptions {
    /// `min_ttl`.
    pub min_ttl: Option<u8>,
    /// `max_ttl`.
    pub max_ttl: Option<u8>,
}

/// Checksums of version 3 over unicast IPv4. keepalived before 1.3.7 summed as if the advert went to the
/// group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OldChecksum {
    /// A peer that sends such sums is believed, and gets such.
    #[default]
    Detect,
    /// `old_unicast_checksum`: every peer gets such.
    Always,
    /// `old_unicast_checksum never`: such are wrong.
    Never,
}

/// `vrrp_rx_bufs_policy`, `vrrp_rx_bufs_multiplier` and `kernel_rx_buf_size`: the share of one instance
/// in the receive buffer of its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveBuffer {
    /// What the kernel gives every socket.
    #[default]
    System,
    /// So many times the MTU of the interface.
    Mtu(u32),
    /// So many times the length of one of our adverts.
    Advert(u32),
    /// So many bytes.
    Bytes(u32),
}
