//! What IPVS should hold for a configuration, and how to get there. Pure: it neither checks servers
//! (that is `health`) nor talks to the kernel.

mod desired;
mod doubts;
mod observation;
mod owned;
mod plan;
mod quorum;
mod ramp;
mod rules;
mod settings;
mod writer;

pub use desired::{
    ServerState, before_checks, daemons, destination_in, destination_key, service, service_key,
    service_keys, sorry_key, timeouts, virtual_addresses, weight_up,
};
pub use doubts::{Doubt, doubts, nowhere};
pub use observation::Observation;
pub use owned::Owned;
pub use plan::{daemon_commands, table_commands};
pub use quorum::{Quorum, QuorumLimits};
pub use ramp::{next_step, ramped};
pub use rules::{is_all_nat, service_rules};
pub use settings::{Asked, Here, KernelSettings, Need, kernel_settings, needs};
pub use writer::{Candidate, Elected, Writer, WriterWhy, never_two};

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
