//! What a configuration means: typed, complete, every default filled in.
//!
//! Times are [`std::time::Duration`]s, names are checked, references between objects were resolved or
//! reported while lowering. Nothing here knows where in the text it stood.

mod check;
mod globals;
mod lvs;
mod vrrp;

pub use check::{Checker, CheckerKind, ConnectOptions};
pub use globals::{Globals, SmtpServer};
pub use lvs::{Persistence, RealServer, SchedulerSpec, VirtualServer, VirtualServerAddress};
pub use vrrp::{
    Auth, Broadcast, Garp, InitialState, Instance, Preempt, Script, ScriptUser, TrackedInterface,
    TrackedScript, Transport, VirtualAddress, Weight,
};

use std::collections::BTreeMap;

/// One configuration, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `global_defs`.
    pub globals: Globals,
    /// Every `vrrp_script`, by name.
    pub scripts: BTreeMap<String, Script>,
    /// Every `vrrp_instance`, in the order of the file; names are unique.
    pub instances: Vec<Instance>,
    /// Every `virtual_server`, in the order of the file; addresses are unique.
    pub virtual_servers: Vec<VirtualServer>,
}
