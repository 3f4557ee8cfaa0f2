//! What is asked of a namespace, and what it shows as a whole.

use std::fmt;

use super::{
    AddressCommand, Link, LinkCommand, ObservedAddress, ObservedRoute, RouteCommand, Rule,
    RuleCommand,
};

/// One change to what a network namespace holds. Changes to things of all kinds go out in one batch, in
/// their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetCommand {
    /// To its addresses.
    Address(AddressCommand),
    /// To its links.
    Link(LinkCommand),
    /// To its routes.
    Route(RouteCommand),
    /// To its rules.
    Rule(RuleCommand),
}

impl fmt::Display for NetCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetCommand::Address(command) => command.fmt(f),
            NetCommand::Link(command) => command.fmt(f),
            NetCommand::Route(command) => command.fmt(f),
            NetCommand::Rule(command) => command.fmt(f),
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

impl From<RouteCommand> for NetCommand {
    fn from(command: RouteCommand) -> NetCommand {
        NetCommand::Route(command)
    }
}

impl From<RuleCommand> for NetCommand {
    fn from(command: RuleCommand) -> NetCommand {
        NetCommand::Rule(command)
    }
}

/// What a network namespace holds, as far as anybody here cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetPicture {
    /// Every link.
    pub links: Vec<Link>,
    /// Every address.
    pub addresses: Vec<ObservedAddress>,
    /// Routes, those that were asked for.
    pub routes: Vec<ObservedRoute>,
    /// Rules, those that were asked for.
    pub rules: Vec<Rule>,
}
