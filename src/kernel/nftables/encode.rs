//! The messages of a table: sets, maps, chains, rules.

use neli::consts::nl::NlmF;
use neli::types::Buffer;

use crate::kernel::netlink::Request;
use crate::kernel::route::write::Payload;
use crate::net::{Family, Filter, InterfaceIndex, InterfaceName};

use super::expression::{Expressions, NESTED, REGISTER_2, Verdict, put_u32};
use super::{Table, request};

/// NFNL_SUBSYS_NFTABLES.
const SUBSYSTEM: u16 = 10;
/// NFNL_MSG_BATCH_BEGIN and _END.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// NFT_MSG_*.
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = (SUBSYSTEM << 8) | 2;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
const NEW_SET: u16 = (SUBSYSTEM << 8) | 9;
const NEW_ELEMENTS: u16 = (SUBSYSTEM << 8) | 12;

/// NF_INET_LOCAL_IN, _OUT and NF_INET_POST_ROUTING.
pub(super) const LOCAL_IN: u32 = 1;
pub(super) const LOCAL_OUT: u32 = 3;
pub(super) const POST_ROUTING: u32 = 4;

/// Where the kernel calls a chain.
#[derive(Clone, Copy)]
pub(super) struct Hook {
    /// `filter` or `nat`.
    pub(super) kind: &'static str,
    /// NF_INET_*.
    pub(super) number: u32,
    /// Among those of this hook.
    pub(super) priority: i32,
}

/// NFT_SET_MAP.
const MAP: u32 = 8;

/// How nft(8) calls what a set holds, by number (`enum datatypes` of its sources); the kernel keeps it
/// for whoever lists the table. A type of several parts has 6 bits for each.
pub(super) const TYPE_IPV4: u32 = 7;
pub(super) const TYPE_IPV6: u32 = 8;
pub(super) const TYPE_PROTOCOL: u32 = 12;
pub(super) const TYPE_PORT: u32 = 13;
pub(super) const TYPE_MARK: u32 = 19;
const TYPE_IFINDEX: u32 = 20;
const TYPE_IFNAME: u32 = 41;
pub(super) const TYPE_BITS: u32 = 6;

/// NFTA_SET_USERDATA, for whoever lists the table: names of interfaces and their numbers are in the byte
/// order of this machine (NFTNL_UDATA_SET_KEYBYTEORDER and _DATABYTEORDER, 4 bytes, host endian).
const HOST_ORDER_OF_KEY: [u8; 6] = host_order(0);
const HOST_ORDER_OF_DATA: [u8; 6] = host_order(1);

const fn host_order(of: u8) -> [u8; 6] {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [of, 4, a, b, c, d]
}

/// Bytes of an interface's name in a register.
const NAME_LEN: usize = 16;

/// Elements in one message: well below the 65535 bytes that an attribute may have.
const ELEMENTS_MAX: usize = 500;

/// ICMPv6 (RFC 4861, RFC 3810).
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const MLD2_REPORT: u8 = 143;

const IGMP: u8 = 2;

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> Payload {
    Payload::new(&[&[family, 0], &resource.to_be_bytes()])
}

fn message(family: Family) -> Payload {
    header(crate::kernel::route::family_number(family), 0)
}

/// What begins and what ends a transaction.
pub(super) fn batch() -> (Request<Buffer>, Request<Buffer>) {
    let bound = |kind| Request {
        kind,
        flags: NlmF::empty(),
        payload: header(0, SUBSYSTEM).finish().unwrap_or_default(),
    };
    (bound(BATCH_BEGIN), bound(BATCH_END))
}

pub(super) fn delete_table(family: Family, name: &str) -> Option<Request<Buffer>> {
    let mut payload = message(family);
    payload.text(1, name);
    request(DELETE_TABLE, NlmF::empty(), payload.finish())
}

fn new_table(family: Family, name: &str) -> Option<Request<Buffer>> {
    let mut payload = message(family);
    payload.text(1, name);
    request(NEW_TABLE, NlmF::CREATE, payload.finish())
}

/// Everything of one family: what is there goes, whether it is or not, and all is made anew.
pub(super) fn replace(
    table: &Table,
    filter: &Filter,
    family: Family,
    index_of: &dyn Fn(&InterfaceName) -> Option<InterfaceIndex>,
) -> Vec<Option<Request<Buffer>>> {
    let mut out = Writer::anew(&table.name, family, table.counters);
    out.priority = table.priority;
    out.vmac_sets(filter, index_of);
    match family {
        Family::V4 => out.rules_v4(filter),
        Family::V6 => out.rules_v6(filter),
    }
    out.messages
}

/// What is in a set, or a map: key and value.
pub(super) type Element = (Vec<u8>, Option<[u8; 4]>);

/// Writes the messages of one table.
pub(super) struct Writer<'a> {
    table: &'a str,
    counters: bool,
    /// Of the chains of a filter.
    priority: i32,
    pub(super) family: Family,
    pub(super) messages: Vec<Option<Request<Buffer>>>,
}

impl Writer<'_> {
    /// For a table that comes in the place of what has its name.
    pub(super) fn anew(table: &str, family: Family, counters: bool) -> Writer<'_> {
        Writer {
            table,
            counters,
            priority: 0,
            family,
            messages: vec![
                new_table(family, table),
                delete_table(family, table),
                new_table(family, table),
            ],
        }
    }

    /// The chain of a filter, or one that only other chains lead to.
    fn chain(&mut self, name: &str, hook: Option<u32>) {
        let priority = self.priority;
        let kind = "filter";
        self.hooked(
            name,
            hook.map(|number| Hook {
                kind,
                number,
                priority,
            }),
        );
    }

    fn named(&self, name_kind: u16, name: &str) -> Payload {
        let mut payload = message(self.family);
        payload.text(1, self.table);
        payload.text(name_kind, name);
        payload
    }

    /// A set, or with `data` a map; `kind` and bytes of a key, `data` likewise.
    pub(super) fn set(&mut self, name: &str, key: (u32, usize), data: Option<(u32, usize)>) {
        let mut payload = self.named(2, name);
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        put_u32(&mut payload, 3, if data.is_some() { MAP } else { 0 });
        put_u32(&mut payload, 4, key.0);
        put_u32(&mut payload, 5, length(key.1));
        if let Some((kind, bytes)) = data {
            put_u32(&mut payload, 6, kind);
            put_u32(&mut payload, 7, length(bytes));
        }
        // NFTA_SET_ID: the kernel wants one that is the transaction's own.
        put_u32(&mut payload, 10, length(self.messages.len()));
        if key.0 == TYPE_IFNAME {
            payload.bytes(13, &[HOST_ORDER_OF_KEY, HOST_ORDER_OF_DATA].concat());
        } else if data.is_some_and(|(kind, _)| kind == TYPE_MARK) {
            payload.bytes(13, &HOST_ORDER_OF_DATA);
        }
        self.messages
            .push(request(NEW_SET, NlmF::CREATE, payload.finish()));
    }

    pub(super) fn elements(&mut self, set: &str, elements: &[Element]) {
        for some in elements.chunks(ELEMENTS_MAX) {
            let mut payload = self.named(2, set);
            payload.with(NESTED | 3, |list| {
                for (key, data) in some {
                    list.with(NESTED | 1, |element| {
                        element.with(NESTED | 1, |value| value.bytes(1, key));
                        if let Some(data) = data {
                            element.with(NESTED | 2, |value| value.bytes(1, data));
                        }
                    });
                }
            });
            self.messages
                .push(request(NEW_ELEMENTS, NlmF::CREATE, payload.finish()));
        }
    }

    /// A chain; with a hook, one that the kernel calls.
    pub(super) fn hooked(&mut self, name: &str, hook: Option<Hook>) {
        let mut payload = self.named(3, name);
        if let Some(hook) = hook {
            payload.with(NESTED | 4, |inner| {
                put_u32(inner, 1, hook.number);
                inner.bytes(2, &hook.priority.to_be_bytes());
            });
            // NF_ACCEPT is what happens to what no rule names.
            put_u32(&mut payload, 5, 1);
            payload.text(7, hook.kind);
        }
        self.messages
            .push(request(NEW_CHAIN, NlmF::CREATE, payload.finish()));
    }

    pub(super) fn rule(&mut self, chain: &str, write: impl FnOnce(&mut Expressions<'_>)) {
        let mut payload = self.named(2, chain);
        let counters = self.counters;
        payload.with(NESTED | 4, |list| {
            write(&mut Expressions { list, counters });
        });
        let flags = NlmF::CREATE | NlmF::APPEND;
        self.messages
            .push(request(NEW_RULE, flags, payload.finish()));
    }

    /// Which interface each VMAC is on. One that is not there now has no number: its VMAC neither.
    fn vmac_sets(
        &mut self,
        filter: &Filter,
        index_of: &dyn Fn(&InterfaceName) -> Option<InterfaceIndex>,
    ) {
        let on: Vec<_> = filter
            .vmacs_of(self.family)
            .filter_map(|(vmac, base)| {
                let index = index_of(base)?.get().to_ne_bytes();
                Some((padded(vmac), Some(index)))
            })
            .collect();
        if filter.vmacs_of(self.family).next().is_none() {
            return;
        }
        let name = (TYPE_IFNAME, NAME_LEN);
        self.set("vmac_map", name, Some((TYPE_IFINDEX, 4)));
        self.elements("vmac_map", &on);
        if self.family == Family::V6 {
            let names: Vec<_> = on.into_iter().map(|(name, _)| (name, None)).collect();
            self.set("vmac_set", name, None);
            self.elements("vmac_set", &names);
        }
    }

    fn rules_v4(&mut self, filter: &Filter) {
        self.chain("out", Some(LOCAL_OUT));
        if filter.vmacs_of(Family::V4).next().is_some() {
            self.rule("out", |rule| {
                rule.network(9, 1).equals(&[IGMP]);
                rule.network(16, 4)
                    .oifname(REGISTER_2)
                    .copy_out_by("vmac_map")
                    .then(Verdict::Drop);
            });
        }
        if filter.v4.is_empty() {
            return;
        }
        let vips: Vec<_> = filter
            .v4
            .iter()
            .map(|vip| (vip.octets().to_vec(), None))
            .collect();
        self.set("vips", (TYPE_IPV4, 4), None);
        self.elements("vips", &vips);
        self.chain("in", Some(LOCAL_IN));
        self.rule("out", |rule| {
            rule.network(12, 4).is_in("vips").then(Verdict::Drop);
        });
        self.rule("in", |rule| {
            rule.network(16, 4).is_in("vips").then(Verdict::Drop);
        });
    }

    fn rules_v6(&mut self, filter: &Filter) {
        self.chain("out", Some(LOCAL_OUT));
        if filter.vmacs_of(Family::V6).next().is_some() {
            self.rule("out", |rule| {
                rule.icmpv6_type().equals(&[MLD2_REPORT]);
                rule.network(24, 16)
                    .oifname(REGISTER_2)
                    .copy_out_by("vmac_map")
                    .then(Verdict::Drop);
            });
            self.rule("out", |rule| {
                rule.icmpv6_type().equals(&[ROUTER_SOLICITATION]);
                rule.oifname(1).is_in("vmac_set").then(Verdict::Drop);
            });
        }
        if filter.v6.is_empty() && filter.link_local.is_empty() {
            return;
        }
        let vips: Vec<_> = filter
            .v6
            .iter()
            .map(|vip| (vip.octets().to_vec(), None))
            .collect();
        self.set("vips", (TYPE_IPV6, 16), None);
        self.elements("vips", &vips);
        let link_local: Vec<_> = filter
            .link_local
            .iter()
            .map(|(vip, on)| ([&vip.octets()[..], &padded(on)].concat(), None))
            .collect();
        let both = (TYPE_IPV6 << TYPE_BITS) | TYPE_IFNAME;
        self.set("vips_link_local", (both, 16 + NAME_LEN), None);
        self.elements("vips_link_local", &link_local);
        self.chain("in", Some(LOCAL_IN));
        for (chain, local, offset) in [("out", "out_link_local", 8), ("in", "in_link_local", 24)] {
            self.chain(local, None);
            // Without these the neighbours could not find the address at all.
            for kind in [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] {
                self.rule(chain, |rule| {
                    rule.icmpv6_type().equals(&[kind]).then(Verdict::Accept);
                });
            }
            let begins_with = |first: u8, second: u8| {
                let mut bytes = [0; 16];
                bytes[..2].copy_from_slice(&[first, second]);
                bytes
            };
            self.rule(chain, |rule| {
                rule.network(offset, 16)
                    .mask(&begins_with(0xff, 0xc0))
                    .equals(&begins_with(0xfe, 0x80))
                    .then(Verdict::Goto(local));
            });
            self.rule(chain, |rule| {
                rule.network(offset, 16).is_in("vips").then(Verdict::Drop);
            });
            self.rule(local, |rule| {
                rule.network(offset, 16);
                match chain {
                    "out" => rule.oifname(REGISTER_2),
                    _ => rule.iifname(REGISTER_2),
                };
                rule.is_in("vips_link_local").then(Verdict::Drop);
            });
        }
    }
}

/// A name as the kernel compares it: with zeros behind it.
fn padded(name: &InterfaceName) -> Vec<u8> {
    let mut bytes = name.as_str().as_bytes().to_vec();
    bytes.resize(NAME_LEN, 0);
    bytes
}
