//! IPVS: its objects as types, its generic netlink messages, and `ipvsadm -Sn` text.
//!
//! No socket here: `kernel::ipvs` sends what [`Command`]s encode to. This module imports layer 0
//! only and could be a crate of its own.

mod attribute;
mod decode;
mod message;
mod number;
mod save;
mod sorted;
mod types;

pub use attribute::{Attribute, Attributes};
pub use decode::{
    DecodeError, Info, decode_daemon, decode_destination, decode_info, decode_service,
    decode_timeouts,
};
pub use message::{EncodeError, FAMILY, Message, Query, VERSION, ask, encode};
pub use number::{
    CommandAttribute, DaemonAttribute, DestinationAttribute, InfoAttribute, Number,
    ServiceAttribute, StatsAttribute,
};
pub use save::{line, save, save_complete};
pub use sorted::{Iter, Sorted};
pub use types::{
    Command, Destination, DestinationKey, DestinationSpec, DestinationStats, Destinations,
    ObservedService, Persistence, Service, ServiceFlags, ServiceKey, ServiceSpec, ServiceStats,
    SyncDaemon, SyncPackets, SyncRole, Table, Timeouts, TunnelChecksum, TunnelKind,
};
