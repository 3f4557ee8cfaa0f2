//! All cases, in the order in which they run.

mod addresses;
mod bad_input;
mod balancer;
mod daemon;
mod election;
mod files;
mod front_door;
mod ipvs;
mod netlink;
mod order;
mod pair;
mod scene;
mod self_test;
mod tcp_check;

use crate::lab::Case;

/// Every case of the run, group by group.
pub(crate) const ALL: &[&[Case]] = &[
    bad_input::WITHOUT_IPVS,
    self_test::CASES,
    netlink::CASES,
    balancer::CASES,
    front_door::CASES,
    files::CASES,
    pair::CASES,
    election::CASES,
    ipvs::CASES,
    tcp_check::CASES,
    order::CASES,
    daemon::CASES,
    addresses::CASES,
    bad_input::CASES,
];
