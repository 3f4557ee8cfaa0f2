//! What the control socket answers with, as JSON; the command line reads it back.
//!
//! Points in time are RFC 3339 in UTC. A field that is null is not known, or does not apply.

mod plan;

use serde::{Deserialize, Serialize};

pub use plan::{Change, Kind, Plan, Verb};

/// A point in time: `2026-11-21T14:02:11.000Z`.
pub type Stamp = String;

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When it was so.
    pub time: Stamp,
    /// The daemon itself.
    pub daemon: Daemon,
    /// Every `vrrp_instance`.
    pub instances: Vec<Instance>,
    /// Every `vrrp_sync_group`.
    pub sync_groups: Vec<SyncGroup>,
    /// Everything that some instance tracks.
    pub trackers: Vec<Tracker>,
    /// Every `bfd_instance`.
    pub bfd: Vec<Session>,
    /// Every `virtual_server`.
    pub virtual_servers: Vec<VirtualServer>,
    /// Servers that have left their pools and keep their connections for a while.
    #[serde(default)]
    pub draining: Vec<DrainingServer>,
    /// What operators ordered instead of what the configuration says.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// Settings of the kernel that vipd has set, and those that are not as virtual servers need them.
    #[serde(default)]
    pub kernel: Vec<KernelSetting>,
}

/// A setting of the kernel, as it was found at most 30 s ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelSetting {
    /// Its name: `net.ipv4.ip_forward`.
    pub name: String,
    /// What holds; null: the kernel has none of that name.
    pub now: Option<String>,
    /// What should.
    pub wanted: String,
    /// vipd has set it, and puts it back at its stop.
    pub set: bool,
    /// What it was before that, if it was something else.
    pub before: Option<String>,
    /// For which virtual servers.
    pub whom: Vec<String>,
    /// What does not work, where it is not as it should be.
    pub why: Option<String>,
}

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// The host's name.
    pub host: String,
    /// The configuration file.
    pub configuration: String,
    /// When it was started.
    pub started: Stamp,
    /// It was told to yield everything and to stay so.
    pub standby: bool,
    /// Since when, and why, as whoever ordered it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby_since: Option<String>,
    /// Why VIPs are not claimed yet, though nothing stands against an instance.
    pub waits_for: Option<String>,
    /// The last reload.
    pub reload: Option<Reload>,
    /// Number of the last event.
    pub last_event: u64,
    /// Events that were lost because too many came at once.
    pub events_lost: u64,
}

/// A reload, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// When it ended.
    pub at: Stamp,
    /// Whether the new configuration is in force; the old one is otherwise.
    pub done: bool,
    /// What changed.
    pub changes: Vec<String>,
    /// What is worth a look in the configuration.
    pub warnings: Vec<String>,
    /// Why it was refused.
    pub errors: Vec<String>,
    /// What it does to the kernel, for whoever ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// One `vrrp_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// INIT, BACKUP, MASTER or FAULT.
    pub state: String,
    /// Since when.
    pub since: Option<Stamp>,
    /// The state before.
    pub before: Option<String>,
    /// Why it entered this state, at that moment.
    pub entered_because: Option<String>,
    /// Why it is in this state now, in one sentence.
    pub why: String,
    /// `interface`.
    pub interface: Option<String>,
    /// `virtual_router_id`.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// Seconds between two adverts, in milliseconds.
    pub advert_ms: u64,
    /// What the election goes by.
    pub priority: Priority,
    /// Who is master, by the last advert.
    pub master: Option<Master>,
    /// `nopreempt`.
    pub nopreempt: bool,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// What stands against it.
    pub faults: Vec<String>,
    /// Trackers that have not answered yet.
    pub waits_for: Vec<String>,
    /// What it tracks: keys of [`Tracker`].
    pub tracks: Vec<String>,
    /// Its sync group.
    pub group: Option<String>,
    /// It is master no more, and holds its addresses until they answer elsewhere.
    pub leaving: bool,
    /// What it sent and got.
    pub counters: Counters,
}

/// A priority and how it comes about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priority {
    /// As configured.
    pub base: u8,
    /// As it counts.
    pub effective: u8,
    /// What moves it.
    pub weights: Vec<Weight>,
}

/// What a tracker does to a priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// Key of the tracker.
    pub tracker: String,
    /// So much is added.
    pub adds: i32,
    /// So much would be added if it were the other way round.
    pub would_add: i32,
}

/// Who is master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// Where its adverts come from.
    pub address: String,
    /// Its priority; 0: it has said that it leaves.
    pub priority: u8,
    /// When its last advert came; absent where it is this router.
    pub heard: Option<Stamp>,
    /// It is this router.
    pub ours: bool,
}

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// With its prefix.
    pub address: String,
    /// Where it is set.
    pub interface: Option<String>,
    /// It is set now.
    pub held: bool,
}

/// What an instance sent and got since the start, each under keepalived's name.
#[expect(
    missing_docs,
    reason = "the fields of vrrp::Counters, where each is explained"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub advert_rcvd: u64,
    pub advert_sent: u64,
    pub advert_lost: u64,
    pub become_master: u64,
    pub release_master: u64,
    pub packet_len_err: u64,
    pub advert_interval_err: u64,
    pub ip_ttl_err: u64,
    pub invalid_type_rcvd: u64,
    pub addr_list_err: u64,
    pub invalid_authtype: u64,
    pub authtype_mismatch: u64,
    pub auth_failure: u64,
    pub pri_zero_rcvd: u64,
    pub pri_zero_sent: u64,
    pub vers_err: u64,
    pub chk_err: u64,
    pub other_err: u64,
}

/// One `vrrp_sync_group`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    /// Its name.
    pub name: String,
    /// The state of all members together.
    pub state: String,
    /// Their names.
    pub members: Vec<String>,
}

/// Something that is tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    /// Kind and name: `script chk_nginx`.
    pub key: String,
    /// script, file, process, interface, bfd.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// up, down, unknown, or the number in a file.
    pub value: String,
    /// Since when, if it has ever changed.
    pub since: Option<Stamp>,
    /// What that means, in words: `chk_nginx fails: exit 1`.
    pub says: String,
}

/// One `bfd_instance`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub name: String,
    /// `neighbor_ip`.
    pub neighbor: String,
    /// Down, Init, Up or AdminDown.
    pub state: String,
    /// Since when.
    pub since: Option<Stamp>,
    /// Why.
    pub reason: Option<String>,
    /// After so long a silence the neighbor is taken for dead, in milliseconds.
    pub detection_ms: Option<u64>,
    /// Why it has no socket.
    pub socket_error: Option<String>,
    /// Packets that concerned it and were dropped.
    pub packets_dropped: u64,
}

/// One `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// `10.0.0.1:80/tcp`, `fwmark 3`.
    pub name: String,
    /// `virtual_server_group`.
    pub group: Option<String>,
    /// `lb_algo`.
    pub scheduler: String,
    /// Its servers are enough.
    pub quorum: bool,
    /// Why that is so, in one sentence.
    pub why: String,
    /// The weights of the servers that are up.
    pub weight_up: u64,
    /// What they must be at least.
    pub quorum_needed: u64,
    /// `hysteresis`.
    pub hysteresis: u64,
    /// It is in the kernel's table.
    pub programmed: bool,
    /// `sorry_server`.
    pub sorry_server: Option<SorryServer>,
    /// What went through it, for who asked for that too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Who writes, where there is to be one (`one_writer`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<Writer>,
    /// Its servers.
    pub real_servers: Vec<RealServer>,
}

/// What the kernel has counted of a service or a server, at most a second ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections in ESTABLISHED.
    pub active: u64,
    /// Connections in any other state.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    /// Connections that were ever scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients, as far as they pass here.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients, as far as they pass here.
    pub bytes_out: u64,
}

/// A `sorry_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    /// Address and port.
    pub address: String,
    /// It takes the place of the pool.
    pub active: bool,
}

/// The writer of a pool with `one_writer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Which server; null: none.
    pub address: Option<String>,
    /// Why it was chosen.
    pub why: Option<String>,
    /// A server that is well and comes before it: it stays the writer until it fails.
    pub passed_over: Option<String>,
}

/// One `real_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    /// Address and port.
    pub address: String,
    /// Whether it is up.
    pub up: bool,
    /// Since when, if it has ever changed.
    pub since: Option<Stamp>,
    /// Why it is up or down, in one sentence.
    pub why: String,
    /// As configured.
    pub weight: u32,
    /// As it should be in the kernel; absent: it is not to be there.
    pub weight_now: Option<u32>,
    /// As it is in the kernel.
    pub weight_in_kernel: Option<u32>,
    /// An operator took it out (`vipd drain`).
    #[serde(default)]
    pub drained: bool,
    /// What operators ordered about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// What it does among the others, where there is to be one writer: `writer`, `standby`, or that it
    /// writes elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty: Option<String>,
    /// Somebody set the weight by hand, and it is kept.
    pub by_hand: bool,
    /// What went to it, for who asked for that too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// What an operator ordered instead of what the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// drain, weight or pause.
    pub what: String,
    /// A server, or of a pause perhaps a virtual server.
    pub whom: String,
    /// Which weight it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub since: Stamp,
    /// When it ends by itself.
    pub until: Option<Stamp>,
    /// All of that in one sentence.
    pub says: String,
}

/// A server that has left its pool and keeps its connections for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainingServer {
    /// In which service.
    pub service: String,
    /// Address and port.
    pub server: String,
    /// Connections that it still has; null: they have not been counted yet.
    pub connections: Option<u32>,
    /// When it is removed, connections or not.
    pub until: Stamp,
}

/// One check of a real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its keyword: `TCP_CHECK`.
    pub kind: String,
    /// Whom it asks, where that is an address.
    pub target: Option<String>,
    /// What it says.
    pub up: bool,
    /// Since when, if it has ever changed.
    pub since: Option<Stamp>,
    /// What the last answer was, in words; absent before the first.
    pub result: Option<String>,
    /// When it came.
    pub at: Option<Stamp>,
    /// How long it took, in microseconds.
    pub latency_us: Option<u64>,
    /// Failures in a row that do not count yet.
    pub retries: u32,
    /// It is not made for the time being (`ha_suspend`, `vipd pause`).
    pub paused: bool,
}

/// One line of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: one more than that of the event before.
    pub number: u64,
    /// When it happened.
    pub time: Stamp,
    /// info, warning or error.
    pub level: String,
    /// What it is about: vrrp, script, tracker, link, bfd, check, pool, ipvs, operator, reload, daemon.
    pub kind: String,
    /// Which object.
    pub name: Option<String>,
    /// What happened, as in the log.
    pub text: String,
}

/// The last line of events that were asked for, and the first where some are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// So many events are not kept any more, or were never taken in.
    pub missing: u64,
}

/// The answer to a request that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was asked for, why it cannot be, what to do.
    pub error: String,
}

/// How far a server is that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// In how many virtual servers it is.
    pub servers: usize,
    /// In how many of them it is still in the kernel's table.
    pub left: usize,
    /// The connections that it has there; `None`: they have not been counted yet.
    pub connections: Option<u64>,
}

/// The answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in words.
    pub done: String,
}
