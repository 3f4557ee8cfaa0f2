//! One table of nf_tables for each family, made and removed in one transaction (nfnetlink,
//! include/uapi/linux/netfilter/nf_tables.h).
//!
//! The table is whole: what is there under its name is replaced by it, so that what a predecessor left
//! needs no other care. Nothing here waits for another process; a transaction is one message to the
//! kernel, which takes all of it or nothing.

mod encode;
mod encode_services;
mod expression;

use std::io;

use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;
use neli::types::Buffer;

use crate::net::{Family, Filter, InterfaceIndex, InterfaceName, ServiceRules};

use super::netlink::{Error, Request, Socket};

/// How the tables are to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `nftables NAME`.
    pub name: String,
    /// `nftables_priority`.
    pub priority: i32,
    /// `nftables_counters`.
    pub counters: bool,
}

/// A socket for the tables of the network namespace that the thread was in when it was opened.
pub struct Nftables {
    socket: Socket,
}

impl Nftables {
    /// Opens one.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2): `EPROTONOSUPPORT` on a kernel without nfnetlink.
    pub fn open() -> io::Result<Nftables> {
        let socket = Socket::open(NlFamily::Netfilter)?;
        Ok(Nftables { socket })
    }

    /// Puts the tables for `filter` in the place of those that have their name; a family for which there
    /// is nothing to do has none.
    ///
    /// # Errors
    /// What the kernel refuses: `EOPNOTSUPP` when it knows no nf_tables, or not that family.
    pub fn replace(
        &mut self,
        table: &Table,
        filter: &Filter,
        index_of: impl Fn(&InterfaceName) -> Option<InterfaceIndex>,
    ) -> Result<(), Error> {
        for family in [Family::V4, Family::V6] {
            let action = format!("make nftables table {} {}", word(family), table.name);
            if filter.is_empty_for(family) {
                self.remove_of(&table.name, family)?;
                continue;
            }
            let messages = encode::replace(table, filter, family, &index_of);
            self.transact(&action, messages)?;
        }
        Ok(())
    }

    /// Puts the tables for virtual servers in the place of those that have this name; a family for which there
    /// is nothing to do has none. `priority` is that of the chains that mark.
    ///
    /// # Errors
    /// As for [`Nftables::replace`].
    pub fn replace_services(
        &mut self,
        name: &str,
        priority: i32,
        rules: &ServiceRules,
    ) -> Result<(), Error> {
        for family in [Family::V4, Family::V6] {
            if rules.is_empty_for(family) {
                self.remove_of(name, family)?;
                continue;
            }
            let action = format!("make nftables table {} {name}", word(family));
            let messages = encode_services::replace(name, priority, rules, family);
            self.transact(&action, messages)?;
        }
        Ok(())
    }

    /// Removes the tables of that name. That there are none is no failure.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove(&mut self, name: &str) -> Result<(), Error> {
        for family in [Family::V4, Family::V6] {
            self.remove_of(name, family)?;
        }
        Ok(())
    }

    fn remove_of(&mut self, name: &str, family: Family) -> Result<(), Error> {
        let action = format!("remove nftables table {} {name}", word(family));
        match self.transact(&action, vec![encode::delete_table(family, name)]) {
            Err(Error::Refused { errno, .. })
                if matches!(
                    errno.0,
                    libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    fn transact(
        &mut self,
        action: &str,
        messages: Vec<Option<Request<Buffer>>>,
    ) -> Result<(), Error> {
        let Some(messages) = messages.into_iter().collect::<Option<Vec<_>>>() else {
            return Err(Error::Message {
                action: action.to_owned(),
                why: "an attribute is longer than 65535 bytes".to_owned(),
            });
        };
        let (begin, end) = encode::batch();
        self.socket.transaction(&action, begin, messages, end)
    }
}

fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// A request with these flags beside those that every one has.
fn request(kind: u16, flags: NlmF, payload: Option<Buffer>) -> Option<Request<Buffer>> {
    payload.map(|payload| Request {
        kind,
        flags,
        payload,
    })
}
