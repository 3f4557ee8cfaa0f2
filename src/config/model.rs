//! What a configuration means: typed, complete, every default filled in.
//!
//! Times are [`std::time::Duration`]s, names are checked, references between objects were resolved or
//! reported while lowering. Nothing here knows where in the text it stood.

use serde::Serialize;

mod adverts;
mod backend;
mod capabilities;
mod check;
mod globals;
mod instance;
mod lvs;
mod marks;
mod route;
pub(in crate::config) mod settings;
mod settle;
mod shared;
mod track;
mod vrrp;

pub use adverts::{AdvertOptions, OldChecksum, PeerOptions, ReceiveBuffer};
pub use backend::{
    Backend, BackendCheck, BackendTls, Donor, GaleraWants, MysqlWants, PgsqlRole, PgsqlWants,
    RedisRole, Secret, TlsMode,
};
pub use capabilities::Capabilities;
pub use check::{
    Checker, CheckerKind, ConnectOptions, DnsCheck, FileCheck, HttpCheck, HttpMethod, HttpProtocol,
    HttpScheme, HttpUrl, MaskedByte, MiscCheck, ServerCertificate, SmtpCheck, UdpCheck,
};
pub use globals::{
    ControlSettings, FilterSettings, Globals, LvsSettings, MailSettings, NodeSettings, NotifyFifo,
    OutputSettings, SchedulingSettings, ScriptDefaults, ScriptSettings, SmtpServer, SmtpTls,
    VrrpSettings,
};
pub use instance::{
    AntiReplay, AuthHmac, HmacMode, InstanceMore, InstanceSettings, Ipvlan, IpvlanMode, Vmac,
};
pub use lvs::{
    Connections, FlapDamping, LvsSyncDaemon, LvsTimeouts, MarkedAddresses, MasqueradeFor, OnGone,
    OneWriter, OutsideChanges, Persistence, PoolSettings, RealServer, SchedulerSpec,
    ServerSettings, ServiceGroup, SorryServer, Sysctls, Tunnel, TunnelChecksum, VirtualServer,
    VirtualServerAddress, WriterOrder, Writers,
};
pub use route::{Route, RouteHop, Rule, Statics, Table};
pub use shared::Shared;
pub use track::{
    BfdInstance, FileWeight, GarpGroup, InitFile, LinkBeat, LinkDelays, LinkSettings, ParamMatch,
    Run, SslSettings, SyncGroup, SyncGroupSettings, TrackFile, TrackProcess, TrackedBfd,
    TrackedFile, TrackedProcess,
};
pub use vrrp::{
    AddressOptions, Auth, Broadcast, ExtraAnnouncements, Garp, InitialState, Instance, Lifetime,
    MULTICAST_GROUP, Preempt, Script, ScriptUser, TrackedInterface, TrackedScript, Transport,
    VirtualAddress, Weight,
};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::net::OwnLink;

/// One configuration, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Config {
    /// `global_defs`.
    pub globals: Globals,
    /// Every `vrrp_script` that somebody tracks, by name.
    pub scripts: BTreeMap<String, Script>,
    /// Every `track_file`, by name.
    pub track_files: BTreeMap<String, TrackFile>,
    /// Every `vrrp_track_process`, by name.
    pub track_processes: BTreeMap<String, TrackProcess>,
    /// Every `bfd_instance`, by name.
    pub bfd_instances: BTreeMap<String, BfdInstance>,
    /// Every `vrrp_instance`, in the order of the file; names are unique. Shared, since whoever has a copy
    /// of a configuration has thousands of these at times.
    pub instances: Vec<Arc<Instance>>,
    /// Every `vrrp_sync_group`, in the order of the file; names are unique.
    pub sync_groups: Vec<SyncGroup>,
    /// What is set from start to stop.
    pub statics: Statics,
    /// Links that the instances make for themselves; names are unique.
    pub own_links: Vec<OwnLink>,
    /// Blocks that concern links.
    pub links: LinkSettings,
    /// `SSL`.
    pub ssl: Option<SslSettings>,
    /// Every `virtual_server`, in the order of the file, one for each address of a group; addresses are
    /// unique.
    pub virtual_servers: Vec<VirtualServer>,
}

impl Config {
    /// Every checker of every server, in the order of the file.
    pub fn checkers(&self) -> impl Iterator<Item = &Checker> {
        let servers = self.virtual_servers.iter().flat_map(|vs| &vs.real_servers);
        servers.flat_map(|server| server.checkers.iter().map(|checker| &**checker))
    }

    /// Names of the files that a FILE_CHECK asks for.
    pub fn files_of_checks(&self) -> impl Iterator<Item = &str> {
        self.checkers().filter_map(|checker| match &checker.kind {
            CheckerKind::File(check) => Some(check.track_file.as_str()),
            _ => None,
        })
    }
}
