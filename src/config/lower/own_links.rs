//! Which links the instances make for themselves, what they are called, and which VIPs are on them.

use std::collections::BTreeSet;

use crate::config::diagnostic::{Code, Diagnostic};
use crate::config::model::{Instance, IpvlanMode, VirtualAddress, VrrpSettings};
use crate::config::source::Span;
use crate::net::{Family, InterfaceName, MacAddr, OwnLink, OwnLinkKind, virtual_router_mac};

use super::context::Context;

/// Gives every link its name and every VIP its place; the links, in order.
pub(super) fn assign(
    ctx: &mut Context<'_>,
    instances: &mut [Instance],
    settings: &VrrpSettings,
) -> Vec<OwnLink> {
    let mut links = Links::new(instances, settings);
    for instance in instances {
        let span = ctx.origins().instances.get(&instance.name).copied();
        if let Some(span) = span {
            check(ctx, instance, span);
        }
        links.of_instance(instance);
    }
    links.made
}

/// What cannot be together.
fn check(ctx: &mut Context<'_>, instance: &mut Instance, span: Span) {
    let name = &instance.name;
    if instance.more.vmac.is_some() && instance.more.ipvlan.is_some() {
        let message = format!("`{name}` has `use_vmac` and `use_ipvlan`: one of the two");
        ctx.say(Diagnostic::error(Code::Contradiction, span, message));
        instance.more.ipvlan = None;
    }
    let unicast = matches!(
        instance.transport,
        crate::config::model::Transport::Unicast(_)
    );
    let xmit_base = instance.more.settings.vmac_xmit_base;
    if instance.more.vmac.is_some() && unicast && !xmit_base {
        let message = format!("adverts of `{name}` leave by its real interface");
        ctx.say(
            Diagnostic::warning(Code::Contradiction, span, message)
                .note("unicast has no use for the virtual router's MAC; keepalived does the same")
                .hint("add `vmac_xmit_base`".to_owned()),
        );
        instance.more.settings.vmac_xmit_base = true;
    }
    if let Some(ipvlan) = &instance.more.ipvlan
        && ipvlan.address.is_none()
        && instance.family == Family::V4
    {
        let message = format!("`use_ipvlan` of `{name}` needs an address");
        ctx.say(
            Diagnostic::error(Code::MissingValue, span, message)
                .note("its adverts are sent from it"),
        );
    }
}

struct Links<'s> {
    settings: &'s VrrpSettings,
    taken: BTreeSet<InterfaceName>,
    made: Vec<OwnLink>,
}

impl<'s> Links<'s> {
    fn new(instances: &[Instance], settings: &'s VrrpSettings) -> Links<'s> {
        // Names that somebody wrote are nobody else's.
        let named = instances.iter().flat_map(|instance| {
            let vmac = instance.more.vmac.iter().filter_map(|v| v.name.clone());
            let ipvlan = instance.more.ipvlan.iter().filter_map(|i| i.name.clone());
            vmac.chain(ipvlan).chain(instance.interface.clone())
        });
        Links {
            settings,
            taken: named.collect(),
            made: Vec::new(),
        }
    }

    fn of_instance(&mut self, instance: &mut Instance) {
        let (vrid, family) = (instance.vrid.get(), instance.family);
        let Some(base) = instance.interface.clone() else {
            return;
        };
        let prefix = self.settings.vmac_prefix.clone();
        let prefix = prefix.unwrap_or_else(|| PREFIX.to_owned());
        let own = if let Some(vmac) = &mut instance.more.vmac {
            let mac = vmac.mac.map_or(virtual_router_mac(family, vrid), |mac| {
                if vmac.mac_ends_with_vrid {
                    let [a, b, c, d, e, _] = mac.0;
                    MacAddr([a, b, c, d, e, vrid])
                } else {
                    mac
                }
            });
            vmac.mac = Some(mac);
            vmac.mac_ends_with_vrid = false;
            let kind = OwnLinkKind::Macvlan(mac);
            let name = vmac.name.clone();
            let link = self.link(name, (&prefix, vrid, family), &base, kind, vmac.group);
            vmac.name.clone_from(&link);
            if vmac.netlink_notify_msg {
                let mut made = self.made.iter_mut();
                if let Some(made) = made.find(|made| Some(&made.name) == link.as_ref()) {
                    made.tells_of_base = true;
                }
            }
            link
        } else if let Some(ipvlan) = &mut instance.more.ipvlan {
            let kind = OwnLinkKind::Ipvlan {
                flags: match ipvlan.mode {
                    IpvlanMode::Bridge => 0,
                    IpvlanMode::Private => 1,
                    IpvlanMode::Vepa => 2,
                },
                address: ipvlan.address,
            };
            let name = ipvlan.name.clone();
            let link = self.link(name, (&prefix, vrid, family), &base, kind, ipvlan.group);
            ipvlan.name.clone_from(&link);
            instance.src_ip = instance.src_ip.or(ipvlan.address.map(|own| own.addr()));
            link
        } else {
            None
        };
        if let Some(own) = &own {
            self.carries(own, family);
        }
        let everywhere = instance.more.settings.use_vmac_addr;
        // As in keepalived an ipvlan interface is for adverts: the addresses are on the one below, which
        // has the same hardware address.
        let own = own.filter(|_| instance.more.vmac.is_some());
        for vip in instance.vips.iter_mut().chain(&mut instance.vips_excluded) {
            self.place(vip, vrid, &base, own.as_ref(), everywhere);
        }
    }

    /// On which link of ours a VIP is, if any.
    fn place(
        &mut self,
        vip: &mut VirtualAddress,
        vrid: u8,
        base: &InterfaceName,
        own: Option<&InterfaceName>,
        everywhere: bool,
    ) {
        let family = vip.cidr.family();
        let dev = vip.dev.clone().unwrap_or_else(|| base.clone());
        let on_base = dev == *base;
        let of_its_own = vip.more.use_vmac || (everywhere && !on_base);
        vip.vmac = match own {
            Some(own) if on_base => Some(own.clone()),
            _ if of_its_own => {
                let prefix = self.settings.vmac_addr_prefix.as_ref();
                let prefix = prefix.or(self.settings.vmac_prefix.as_ref());
                let prefix = prefix.map_or(PREFIX, String::as_str).to_owned();
                let kind = OwnLinkKind::Macvlan(virtual_router_mac(family, vrid));
                self.link(None, (&prefix, vrid, family), &dev, kind, None)
            }
            _ => None,
        };
        if let Some(name) = vip.vmac.clone() {
            self.carries(&name, family);
        }
    }

    fn carries(&mut self, name: &InterfaceName, family: Family) {
        if let Some(link) = self.made.iter_mut().find(|link| link.name == *name) {
            match family {
                Family::V4 => link.v4 = true,
                Family::V6 => link.v6 = true,
            }
        }
    }

    /// The link of that kind on that interface, or a new one; its name. `None`: there is no name left.
    fn link(
        &mut self,
        name: Option<InterfaceName>,
        (prefix, vrid, family): (&str, u8, Family),
        base: &InterfaceName,
        kind: OwnLinkKind,
        group: Option<u32>,
    ) -> Option<InterfaceName> {
        let same = |link: &&OwnLink| link.base == *base && link.kind == kind;
        if name.is_none()
            && let Some(same) = self.made.iter().find(same)
        {
            return Some(same.name.clone());
        }
        let name = match name {
            Some(name) => name,
            None => self.free_name(prefix, vrid, family)?,
        };
        self.taken.insert(name.clone());
        self.made.push(OwnLink {
            name: name.clone(),
            base: base.clone(),
            kind,
            v4: false,
            v6: false,
            group,
            tells_of_base: false,
        });
        Some(name)
    }

    /// As keepalived names them: `vrrp.51`; where that is taken `vrrp6.51` for IPv6, then `vrrp1.51` and so
    /// on. The prefix gives way where the whole would be too long for a name.
    fn free_name(&self, prefix: &str, vrid: u8, family: Family) -> Option<InterfaceName> {
        let of_family = (family == Family::V6).then_some("6".to_owned());
        let numbers = (1..=NAMES_MAX).map(|number: u32| number.to_string());
        let middles = std::iter::once(String::new())
            .chain(of_family)
            .chain(numbers);
        middles
            .filter_map(|middle| {
                let rest = format!("{middle}.{vrid}");
                let room = NAME_MAX.saturating_sub(rest.len());
                let prefix: String = prefix.chars().take(room).collect();
                format!("{prefix}{rest}").parse().ok()
            })
            .find(|name: &InterfaceName| !self.taken.contains(name))
    }
}

/// `vmac_prefix` where nobody wrote one.
const PREFIX: &str = "vrrp";
/// IFNAMSIZ, less the NUL.
const NAME_MAX: usize = 15;
/// Links with one VRID.
const NAMES_MAX: u32 = 10_000;
