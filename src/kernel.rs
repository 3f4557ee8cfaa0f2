//! The kernel as vipd meets it: netlink sockets, IPVS, links and addresses.
//!
//! No policy: what is asked is done or comes back as an error that says what was asked.

pub mod advert_watch;
pub mod announcement_socket;
pub mod announcement_watch;
pub mod background;
pub mod bfd_socket;
pub mod clock;
pub mod fifo;
pub mod inotify;
pub mod iptables;
pub mod ipvs;
pub mod linkbeat;
pub mod memory;
pub mod namespace;
pub mod netlink;
pub mod nftables;
pub mod own_link;
pub mod poll;
pub mod processes;
pub mod route;
pub mod runtime;
pub mod scheduling;
pub mod spawner;
mod sys;
pub mod sysctl;
pub mod vrrp_socket;
