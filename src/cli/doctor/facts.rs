//! What the doctor goes by: facts about this machine and its network, gathered before anything is judged.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::Config;
use crate::control::model::{KernelSetting, Status};
use crate::net::{InterfaceIndex, MacAddr, NetPicture};
use crate::wire::vrrp::Advert;

use super::filter::Chain;

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// The configuration; `None`: it cannot be read, and `config_errors` say why.
    pub(super) config: Option<Config>,
    pub(super) config_errors: Vec<String>,
    /// What the vipd that runs says of itself.
    pub(super) status: Option<Status>,
    /// A vipd has the run directory, and says nothing.
    pub(super) mute: bool,
    /// Capabilities that are missing, and what for.
    pub(super) capabilities: Vec<(String, &'static str)>,
    /// Modules of IPVS that are neither there nor could be loaded.
    pub(super) modules: Vec<String>,
    pub(super) picture: NetPicture,
    /// Settings that virtual servers need and do not have.
    pub(super) unmet: Vec<KernelSetting>,
    /// Of each interface of an instance.
    pub(super) settings: Vec<InterfaceSettings>,
    /// Chains of every firewall that could be read.
    pub(super) firewall: Vec<Chain>,
    /// Firewalls that could not.
    pub(super) unread: Vec<String>,
    pub(super) heard: Vec<HeardAdvert>,
    /// Who answers for a virtual address.
    pub(super) owners: Vec<Owner>,
    /// Nobody could listen; why.
    pub(super) deaf: Option<String>,
    pub(super) pid_files: Vec<PidFile>,
    /// Processes of keepalived in this network namespace.
    pub(super) keepalived: Vec<u32>,
    /// Network managers that have an interface of an instance.
    pub(super) managers: Vec<Manager>,
    pub(super) clock: Clock,
}

/// What the kernel is told of an interface, as it holds: with what is told of all.
#[derive(Clone, Debug, Default)]
pub(super) struct InterfaceSettings {
    pub(super) interface: String,
    pub(super) rp_filter: i64,
    pub(super) arp_ignore: i64,
    pub(super) disable_ipv6: bool,
}

/// An advert that was heard.
#[derive(Clone, Debug)]
pub(super) struct HeardAdvert {
    pub(super) interface: InterfaceIndex,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) ttl: u8,
    /// What it says, or why it cannot be understood.
    pub(super) advert: Result<Advert, String>,
}

/// Somebody who answers for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) address: IpAddr,
    pub(super) mac: MacAddr,
}

/// A pid file.
#[derive(Clone, Debug)]
pub(super) struct PidFile {
    pub(super) path: PathBuf,
    pub(super) pid: Option<u32>,
    /// What runs under that number, if anything does.
    pub(super) runs: Option<String>,
}

/// A program that looks after an interface.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) name: &'static str,
    pub(super) interface: String,
    /// The file that says so.
    pub(super) file: String,
}

/// What the wall clock is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clock {
    #[default]
    Right,
    /// Nobody keeps it right.
    Alone,
    /// It shows a time before this vipd was made.
    Past,
}
