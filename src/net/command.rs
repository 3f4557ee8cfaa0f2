//! What is asked of a namespace, and what it shows as a whole.

use std::fmt;

use super::{AddressCommand, Link, LinkCommand, ObservedAddress};

/// One change to what a network namespace holds. Changes to things of all kinds go out in one batch, in
/// their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetCommand {
    /// To its addresses.
    Address(AddressCommand),
    /// To its links.
    Link(LinkCommand),
}

impl fmt::Display for NetCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetCommand::Address(command) => command.fmt(f),
            NetCommand::Link(command) => command.fmt(f),
        }
    }
}

impl From<AddressCommand> for NetCommand {
    fn from(command: AddressCommand) -> NetCommand {
        NetCommand::Address(command)
    }
}

impl From<LinkCommand> for NetCommand {
    fn from(command: LinkCommand) -> NetCommand {
        NetCommand::Link(command)
    }
}

/// What a network namespace holds, as far as anybody here cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetPicture {
    /// Every link.
    pub links: Vec<Link>,
    /// Every address.
    pub addresses: Vec<ObservedAddress>,
}
