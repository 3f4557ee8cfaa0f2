//! Expressions of rules: what nft(8) writes as words, the kernel takes as a list of small machines that
//! pass values in registers (NFTA_RULE_EXPRESSIONS).

use crate::kernel::route::write::Payload;
use crate::net::Family;

/// NLA_F_NESTED.
pub(super) const NESTED: u16 = 1 << 15;

const LIST_ELEM: u16 = NESTED | 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = NESTED | 2;

/// NFT_REG_1 and NFT_REG_2, 16 bytes each, one behind the other; NFT_REG_VERDICT.
pub(super) const REGISTER_1: u32 = 1;
pub(super) const REGISTER_2: u32 = 2;
const VERDICT: u32 = 0;

const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = NESTED | 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// NFT_META_*.
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;

/// NFT_CT_DST_IP and _IP6 (Linux 4.17), and IP_CT_DIR_ORIGINAL.
const CT_DST_IP: u32 = 20;
const CT_DST_IP6: u32 = 22;
const CT_ORIGINAL: u8 = 0;

/// NFT_PAYLOAD_*.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict<'a> {
    Drop,
    Accept,
    Goto(&'a str),
}

/// A number in the byte order of the network, as nf_tables has them.
pub(super) fn put_u32(payload: &mut Payload, kind: u16, value: u32) {
    payload.bytes(kind, &value.to_be_bytes());
}

/// The expressions of a rule, one after the other.
pub(super) struct Expressions<'a> {
    pub(super) list: &'a mut Payload,
    pub(super) counters: bool,
}

impl Expressions<'_> {
    fn add(&mut self, name: &str, data: impl FnOnce(&mut Payload)) -> &mut Self {
        self.list.with(LIST_ELEM, |element| {
            element.text(EXPR_NAME, name);
            element.with(EXPR_DATA, data);
        });
        self
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.add("payload", |data| {
            put_u32(data, 1, register);
            put_u32(data, 2, base);
            put_u32(data, 3, offset);
            put_u32(data, 4, length);
        })
    }

    /// Bytes of the IP header.
    pub(super) fn network(&mut self, offset: u32, length: u32) -> &mut Self {
        self.payload(NETWORK_HEADER, offset, length, REGISTER_1)
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.add("meta", |data| {
            put_u32(data, 1, register);
            put_u32(data, 2, key);
        })
    }

    /// Protocol and port that it goes to, into these registers.
    pub(super) fn destination_port(&mut self, protocol: u32, port: u32) -> &mut Self {
        self.meta(META_L4PROTO, protocol);
        self.payload(TRANSPORT_HEADER, 2, 2, port)
    }

    /// Its protocol.
    pub(super) fn protocol(&mut self, register: u32) -> &mut Self {
        self.meta(META_L4PROTO, register)
    }

    /// The address that the first packet of its connection went to.
    pub(super) fn asked_address(&mut self, family: Family) -> &mut Self {
        let key = match family {
            Family::V4 => CT_DST_IP,
            Family::V6 => CT_DST_IP6,
        };
        self.add("ct", |data| {
            put_u32(data, 1, REGISTER_1);
            put_u32(data, 2, key);
            data.bytes(3, &[CT_ORIGINAL]);
        })
    }

    /// Its mark.
    pub(super) fn mark(&mut self) -> &mut Self {
        self.meta(META_MARK, REGISTER_1)
    }

    /// Marks it with what the map has for what begins at the first register; goes on only if there is
    /// something.
    pub(super) fn mark_by(&mut self, map: &str) {
        self.add("lookup", |data| {
            data.text(1, map);
            put_u32(data, 2, REGISTER_1);
            put_u32(data, 3, REGISTER_1);
        });
        self.add("meta", |data| {
            put_u32(data, 2, META_MARK);
            put_u32(data, 3, REGISTER_1);
        });
    }

    /// Its source becomes an address of the interface that it leaves by.
    pub(super) fn masquerade(&mut self) {
        self.add("masq", |_| {});
    }

    /// The name of the interface that it came in by.
    pub(super) fn iifname(&mut self, register: u32) -> &mut Self {
        self.meta(META_IIFNAME, register)
    }

    /// The name of the interface that it leaves by.
    pub(super) fn oifname(&mut self, register: u32) -> &mut Self {
        self.meta(META_OIFNAME, register)
    }

    /// Goes on only if the first register begins with these bytes.
    pub(super) fn equals(&mut self, value: &[u8]) -> &mut Self {
        self.add("cmp", |data| {
            put_u32(data, 1, REGISTER_1);
            put_u32(data, 2, 0);
            data.with(NESTED | 3, |data| data.bytes(DATA_VALUE, value));
        })
    }

    /// Keeps only these bits of the first register.
    pub(super) fn mask(&mut self, bits: &[u8]) -> &mut Self {
        let length = u32::try_from(bits.len()).unwrap_or(u32::MAX);
        self.add("bitwise", |data| {
            put_u32(data, 1, REGISTER_1);
            put_u32(data, 2, REGISTER_1);
            put_u32(data, 3, length);
            data.with(NESTED | 4, |data| data.bytes(DATA_VALUE, bits));
            let zeros = vec![0; bits.len()];
            data.with(NESTED | 5, |data| data.bytes(DATA_VALUE, &zeros));
        })
    }

    /// ICMPv6, and its type into the first register.
    pub(super) fn icmpv6_type(&mut self) -> &mut Self {
        self.meta(META_L4PROTO, REGISTER_1).equals(&[58]);
        self.payload(TRANSPORT_HEADER, 0, 1, REGISTER_1)
    }

    /// Goes on only if what begins at the first register is in the set.
    pub(super) fn is_in(&mut self, set: &str) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, set);
            put_u32(data, 2, REGISTER_1);
        })
    }

    /// Goes on only if it is not.
    pub(super) fn is_not_in(&mut self, set: &str) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, set);
            put_u32(data, 2, REGISTER_1);
            // NFT_LOOKUP_F_INV.
            put_u32(data, 5, 1);
        })
    }

    /// A copy leaves by the interface that the map has for what is in the second register, to the address
    /// in the first; goes on only if there is one.
    pub(super) fn copy_out_by(&mut self, map: &str) -> &mut Self {
        self.add("lookup", |data| {
            data.text(1, map);
            put_u32(data, 2, REGISTER_2);
            put_u32(data, 3, REGISTER_2);
        });
        self.add("dup", |data| {
            put_u32(data, 1, REGISTER_1);
            put_u32(data, 2, REGISTER_2);
        })
    }

    /// The end.
    pub(super) fn then(&mut self, verdict: Verdict<'_>) {
        if self.counters {
            self.add("counter", |data| {
                data.bytes(1, &0_u64.to_be_bytes());
                data.bytes(2, &0_u64.to_be_bytes());
            });
        }
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Goto(chain) => (-4_i32, Some(chain)),
        };
        self.add("immediate", |data| {
            put_u32(data, 1, VERDICT);
            data.with(NESTED | 2, |data| {
                data.with(DATA_VERDICT, |data| {
                    data.bytes(VERDICT_CODE, &code.to_be_bytes());
                    if let Some(chain) = chain {
                        data.text(VERDICT_CHAIN, chain);
                    }
                });
            });
        });
    }
}
