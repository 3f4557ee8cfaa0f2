//! IPVS: its objects as types, its generic netlink messages, and `ipvsadm -Sn` text.
//!
//! No socket here: `kernel::ipvs` sends what [`Command`]s encode to. This module imports layer 0
//! only and could be a crate of its own.

mod types;

pub use types::{
    Command, Destination, DestinationKey, DestinationSpec, DestinationStats, Persistence, Service,
    ServiceFlags, ServiceKey, ServiceSpec, ServiceStats, SyncDaemon, SyncRole, Table, TunnelKind,
};
