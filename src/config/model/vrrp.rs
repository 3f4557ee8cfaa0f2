//! `vrrp_instance` and what it tracks.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::Serialize;

use crate::net::{Cidr, Family, InterfaceName};
use crate::units::{AdvertInterval, Priority, Version, Vrid, seconds};

use super::{AdvertOptions, InstanceMore, Shared};

/// 224.0.0.18, which IANA gave to VRRP.
pub const MULTICAST_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// One virtual router on one link: `vrrp_instance NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its name, unique.
    pub name: String,
    /// `version`.
    pub version: Version,
    /// Family of its adverts.
    pub family: Family,
    /// `state`. Except for a router with priority 255 it changes nothing but what lowering has
    /// already applied (`nopreempt` cleared).
    pub state: InitialState,
    /// `interface`: where adverts go, and VIPs without a `dev` of their own. Absent only with
    /// `unicast_peer`: adverts then go where the routes say, and every VIP has a `dev`.
    pub interface: Option<InterfaceName>,
    /// `virtual_router_id`.
    pub vrid: Vrid,
    /// `priority`, before weights.
    pub priority: Priority,
    /// `advert_int`.
    pub advert_int: AdvertInterval,
    /// `down_timer_adverts`, 1 to 100: missed adverts after which a master is taken for dead.
    pub down_timer_adverts: u8,
    /// `nopreempt` and `preempt_delay`.
    pub preempt: Preempt,
    /// Whom adverts go to.
    pub transport: Transport,
    /// `unicast_src_ip` or `mcast_src_ip`; the interface's first address when absent.
    pub src_ip: Option<IpAddr>,
    /// How adverts leave, and which are believed.
    pub adverts: Shared<AdvertOptions>,
    /// `authentication`.
    pub auth: Option<Auth>,
    /// `virtual_ipaddress`, in order: these stand in adverts.
    pub vips: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded`: set and removed alike, not in adverts.
    pub vips_excluded: Vec<VirtualAddress>,
    /// How the new place of the VIPs is announced.
    pub garp: Shared<Garp>,
    /// `lower_prio_no_advert`: a master that hears a lower priority says nothing.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`: a master that yields sends one last advert.
    pub higher_prio_send_advert: bool,
    /// `timer_expired_backup`: a master that stood still for so long that a router of this priority
    /// would have taken over becomes backup at once; `None` where it may preempt.
    pub timer_expired_backup: Option<Priority>,
    /// `owner_ignore_adverts`: with priority 255, adverts of others are not listened to.
    pub owner_ignore_adverts: bool,
    /// `dont_track_primary`: `interface` going down is not a fault.
    pub dont_track_primary: bool,
    /// Whether a master answers on its VIPs: an owner does; `accept`, `no_accept`, else not under
    /// `strict_mode`.
    pub accept: bool,
    /// `strict_mode`, else `vrrp_strict`: what the RFC does not have was cleared.
    pub strict: bool,
    /// What most instances do not say.
    pub more: Shared<InstanceMore>,
}

impl Instance {
    /// An instance of which nothing else was written: version 2 on IPv4, multicast, and the default of
    /// every keyword.
    pub fn new(name: &str, interface: InterfaceName, vrid: Vrid) -> Instance {
        Instance {
            name: name.to_owned(),
            version: Version::V2,
            family: Family::V4,
            state: InitialState::Backup,
            interface: Some(interface),
            vrid,
            priority: Priority::DEFAULT,
            advert_int: AdvertInterval::DEFAULT,
            down_timer_adverts: 3,
            preempt: Preempt::After(Duration::ZERO),
            transport: Transport::Multicast(IpAddr::V4(MULTICAST_GROUP)),
            src_ip: None,
            adverts: AdvertOptions::new(IpAddr::V4(MULTICAST_GROUP)).into(),
            auth: None,
            vips: Vec::new(),
            vips_excluded: Vec::new(),
            garp: Shared::default(),
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            timer_expired_backup: None,
            owner_ignore_adverts: false,
            dont_track_primary: false,
            accept: true,
            strict: false,
            more: Shared::default(),
        }
    }

    /// The link that it makes for itself: a VMAC or an ipvlan interface.
    pub fn own_link(&self) -> Option<&InterfaceName> {
        let vmac = self.more.vmac.as_ref().and_then(|vmac| vmac.name.as_ref());
        let ipvlan = self.more.ipvlan.as_ref();
        vmac.or_else(|| ipvlan.and_then(|ipvlan| ipvlan.name.as_ref()))
    }

    /// Where adverts leave and come in: its own link, unless `vmac_xmit_base`; else `interface`.
    pub fn advert_interface(&self) -> Option<&InterfaceName> {
        let own = self.own_link();
        own.filter(|_| !self.more.settings.vmac_xmit_base)
            .or(self.interface.as_ref())
    }

    /// VIPs and excluded VIPs, in order.
    pub fn all_vips(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.vips.iter().chain(&self.vips_excluded)
    }
}

/// `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialState {
    /// Starts as master at once if its priority is 255.
    Master,
    /// The default.
    Backup,
}

/// What a backup does about a master with a lower priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preempt {
    /// Take over, after `preempt_delay` (0 to 1000 s, 0 when absent) has passed since the lower
    /// priority was first heard.
    After(#[serde(serialize_with = "seconds")] Duration),
    /// `nopreempt`: let it be.
    Never,
}

/// Whom adverts are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The group of every VRRP router: 224.0.0.18 or ff02::12 unless `vrrp_mcast_group4` and
    /// `vrrp_mcast_group6` say otherwise.
    Multicast(IpAddr),
    /// `unicast_peer`, in order.
    Unicast(Vec<IpAddr>),
}

/// A password as it was written, its padding left out.
fn as_text<S: serde::Serializer>(password: &[u8; 8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(String::from_utf8_lossy(password).trim_end_matches('\0'))
}

/// `authentication`, VRRP v2 only (RFC 2338 section 5.3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `auth_type PASS`: eight bytes, shorter passwords padded with zeros.
    Pass(#[serde(serialize_with = "as_text")] [u8; 8]),
    /// `auth_type AH`: the key of the authentication header, as `auth_pass` gives it.
    Ah([u8; 8]),
}

/// One line of `virtual_ipaddress`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualAddress {
    /// The address; /32 or /128 when no prefix was given.
    pub cidr: Cidr,
    /// `dev`; the instance's interface when absent.
    pub dev: Option<InterfaceName>,
    /// `brd`.
    pub broadcast: Option<Broadcast>,
    /// `scope`, as the kernel numbers it (rtnetlink(7): 0 global, 200 site, 253 link, 254 host).
    pub scope: u8,
    /// `label`, at most 15 bytes, IPv4 only.
    pub label: Option<String>,
    /// `no_track`: its `dev` going down is not a fault of the instance.
    pub no_track: bool,
    /// The VMAC or ipvlan interface that it is on; lowering chooses it.
    pub vmac: Option<InterfaceName>,
    /// What else the kernel is told of it.
    pub more: Shared<AddressOptions>,
}

/// Options of an address that change how the kernel treats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddressOptions {
    /// `peer`: the other end of a point-to-point link, whose prefix the address has.
    pub peer: Option<IpAddr>,
    /// `home`: IFA_F_HOMEADDRESS.
    pub home: bool,
    /// `-nodad`: it is not used before duplicates were looked for (IPv6); without it, IFA_F_NODAD.
    pub duplicate_address_detection: bool,
    /// `mngtmpaddr`: IFA_F_MANAGETEMPADDR.
    pub manage_temporary: bool,
    /// `noprefixroute`: IFA_F_NOPREFIXROUTE.
    pub no_prefix_route: bool,
    /// `autojoin`: IFA_F_MCAUTOJOIN.
    pub auto_join: bool,
    /// `use_vmac`: on a VMAC of its own.
    pub use_vmac: bool,
    /// `preferred_lft` of IPv6; without it, for ever, except /128: that is deprecated at once.
    pub preferred_lifetime: Option<Lifetime>,
    /// `track_group`, of static addresses.
    pub track_group: Option<String>,
}

/// How long an address is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// `forever`.
    Forever,
    /// So long.
    For(#[serde(serialize_with = "seconds")] Duration),
}

impl VirtualAddress {
    /// An address without any option.
    pub fn new(cidr: Cidr) -> VirtualAddress {
        VirtualAddress {
            cidr,
            dev: None,
            broadcast: None,
            scope: 0,
            label: None,
            no_track: false,
            vmac: None,
            more: Shared::default(),
        }
    }
}

/// `brd` of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broadcast {
    /// `brd +`: host bits all ones.
    AllOnes,
    /// `brd -`: host bits all zeros.
    AllZeros,
    /// `brd ADDRESS`.
    Address(Ipv4Addr),
}

/// When gratuitous ARP (IPv6: unsolicited neighbour advertisements) goes out for each VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Garp {
    /// `garp_master_repeat`: how many at once on becoming master, at least 1; 5 when absent.
    pub master_repeat: u32,
    /// `garp_master_delay`: how long after that the same number goes out again; zero: not again;
    /// 5 s when absent.
    #[serde(serialize_with = "seconds")]
    pub master_delay: Duration,
    /// `garp_master_refresh`: how often while master; zero: never.
    #[serde(serialize_with = "seconds")]
    pub master_refresh: Duration,
    /// `garp_master_refresh_repeat`: how many each time; 1 when absent.
    pub master_refresh_repeat: u32,
    /// `garp_lower_prio_repeat`: how many on hearing a lower priority as master.
    pub lower_prio_repeat: u32,
    /// `garp_lower_prio_delay`: how long after that the same number goes out again.
    #[serde(serialize_with = "seconds")]
    pub lower_prio_delay: Duration,
    /// `garp_extra_if`: rounds for addresses on interfaces from which no advert leaves; none when absent.
    pub extra_if: Option<ExtraAnnouncements>,
    /// Whether a router that claims in silence asks who has the addresses; not with `--compat keepalived`.
    pub probe: bool,
}

/// `garp_extra_if [all] SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ExtraAnnouncements {
    /// Time between two rounds, 1 to 86400 s.
    #[serde(serialize_with = "seconds")]
    pub every: Duration,
    /// `all`: on every such interface, else on VMACs only.
    pub all: bool,
}

impl Default for Garp {
    fn default() -> Garp {
        Garp {
            master_repeat: 5,
            master_delay: Duration::from_secs(5),
            master_refresh: Duration::ZERO,
            master_refresh_repeat: 1,
            lower_prio_repeat: 5,
            lower_prio_delay: Duration::from_secs(5),
            extra_if: None,
            probe: false,
        }
    }
}

/// What a tracked thing's failure does to the priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Weight 0: failure is a fault, the instance leaves the election.
    Fault,
    /// Weight 0 with `reverse`: it is a fault that it is well.
    FaultWhenUp,
    /// Negative: added while it fails. Positive: added while it is well. `reverse` turns the sign round,
    /// not the time: a reversed +n is taken away while it is well, a reversed -n added while it fails.
    Priority {
        /// Added to the priority, -253 to 253, not 0.
        delta: i16,
        /// Whether `delta` counts while the tracked thing is up, else while it is down.
        when_up: bool,
    },
}

/// One name in `track_script`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackedScript {
    /// Key in [`super::Config::scripts`].
    pub script: String,
    /// Its own `weight`, else the script's.
    pub weight: Weight,
}

/// One name in `track_interface`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrackedInterface {
    /// The interface.
    pub interface: InterfaceName,
    /// `weight`; a fault when absent.
    pub weight: Weight,
}

/// `vrrp_script NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Script {
    /// Its name, unique.
    pub name: String,
    /// The program and its arguments, at least one word. It is looked up in PATH, not given to a shell.
    pub argv: Vec<String>,
    /// `interval` between two starts, at least 1 ms; 1 s when absent.
    #[serde(serialize_with = "seconds")]
    pub interval: Duration,
    /// `timeout`; the interval when absent.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// How much longer a run may go on that counts as failed at its timeout: 10 s where nobody wrote `timeout`,
    /// else nothing, as in keepalived. Scripts that start a service again and wait for it do get to their end.
    #[serde(serialize_with = "seconds")]
    pub linger: Duration,
    /// `rise`: successes in a row that make it pass, at least 1.
    pub rise: u32,
    /// `fall`: failures in a row that make it fail, at least 1.
    pub fall: u32,
    /// `user`; `script_user` when absent.
    pub user: Option<ScriptUser>,
    /// `init_fail`: counts as failing until it passed once.
    pub init_fail: bool,
}

/// `user NAME [GROUP]`, numbers allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ScriptUser {
    /// Name or number of the user.
    pub user: String,
    /// Name or number of the group; the user's own when absent.
    pub group: Option<String>,
}
