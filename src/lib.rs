//! vipd keeps a service reachable at a virtual IP.
//!
//! It reads `keepalived.conf`, elects who holds each VIP (VRRP), checks the servers behind it and
//! programs the kernel's IPVS to forward to them. Text becomes a typed [`config`] once; events become
//! state in pure state machines; state becomes a desired picture of the kernel; the difference to what
//! the kernel shows is carried out.
//!
//! A module imports only from layers above it in this list (`tests/architecture.rs` checks it):
//!
//! | layer | modules | may contain |
//! | --- | --- | --- |
//! | 0 values | [`errno`], [`net`], [`units`], [`time`], [`fact`] | checked newtypes |
//! | 1 formats | [`config`], [`wire`], [`ipvs`] | text or bytes to types and back; no IO, never panics on input |
//! | 2 logic | `vrrp`, `bfd`, `track`, `health`, `lvs`, `notice`, `reconcile` | pure: input and time in, actions out |
//! | 3 join | `engine` | the two engines, one for each thread; pure |
//! | 3 edges | [`kernel`], [`notify`], [`probe`] | sockets, netlink, processes; no policy |
//! | 4 runtime | `daemon`, `control`, `cli` | threads, signals, files, HTTP, the terminal |

pub mod errno;
pub mod fact;
pub mod net;
pub mod time;
pub mod units;

pub mod config;
pub mod ipvs;
pub mod wire;

pub mod bfd;
pub mod health;
pub mod lvs;
pub mod notice;
pub mod reconcile;
pub mod track;
pub mod vrrp;

pub mod engine;

pub mod kernel;
pub mod notify;
pub mod probe;

pub mod cli;
pub mod control;
pub mod daemon;
