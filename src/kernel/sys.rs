//! The system calls that neither std nor socket2 nor neli has a safe function for.
//!
//! The only module with `unsafe`; each block says why it is sound.

#![allow(
    unsafe_code,
    reason = "the one place where what the crates lack is called"
)]

pub(crate) mod beat;
pub(crate) mod datagram;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod netlink;
pub(crate) mod option;
pub(crate) mod packet;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod raw6;
pub(crate) mod scheduling;
pub(crate) mod time;
pub(crate) mod watch;
