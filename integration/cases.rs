//! All cases, in the order in which they run. To add one, put its constant into a list: [`ALL`] for the
//! guest, [`NATIVE`], [`MEASURED`] or [`BESIDE`] for the kernel of this machine (see [`crate::lab`]).

mod addresses;
mod backends;
mod bad_input;
mod balancer;
mod bfd;
mod checks;
mod connections;
mod control;
mod daemon;
mod doctor;
mod early_end;
mod election;
mod facts;
mod files;
mod firewall;
mod front_door;
mod garp;
mod hand_over;
mod ipvs;
mod keywords;
mod lease;
mod marks;
mod matrix;
mod namespaces;
mod native;
mod netlink;
mod notify;
mod operate;
mod options;
mod order;
mod own_links;
mod page;
mod pages;
mod pair;
mod plan;
mod pools;
mod probe;
mod protocol;
mod routes;
mod rules;
mod scenarios;
mod scene;
mod scheduling;
mod self_test;
mod settings;
mod side_by_side;
mod silence;
mod standby;
mod sync;
mod sync_group;
mod table;
mod tcp_check;
mod track;
mod unit;
mod vmac;

use crate::lab::Case;

/// Cases on this machine's own kernel, in namespaces of their own, several side by side: what the guest
/// is too slow for, or has no feature for. None of them may measure.
pub(crate) const NATIVE: &[&[Case]] = &[
    native::CASES,
    firewall::CASES,
    firewall::iptables::CASES,
    bfd::NATIVE,
    track::CASES,
    sync_group::CASES,
    rules::CASES,
    protocol::CASES,
    matrix::TAKEOVERS,
    matrix::ELECTIONS,
    scheduling::CASES,
    vmac::CASES,
    doctor::CASES,
    keywords::CASES,
    keywords::more::CASES,
    keywords::rest::CASES,
    own_links::CASES,
    scenarios::NATIVE,
    early_end::CASES,
    silence::NATIVE,
    sync::NATIVE,
    operate::CASES,
];

/// Cases on this machine's own kernel, one at a time, before all others: what is measured.
pub(crate) const MEASURED: &[&[Case]] = &[bfd::MEASURED, hand_over::CASES, standby::CASES];

/// Cases on this machine's own kernel among its own processes, which the kernel tells nobody else of.
pub(crate) const BESIDE: &[&[Case]] = &[track::events::CASES];

/// Every case that runs in the guest, group by group.
pub(crate) const ALL: &[&[Case]] = &[
    bad_input::WITHOUT_IPVS,
    self_test::CASES,
    netlink::CASES,
    balancer::CASES,
    front_door::CASES,
    files::CASES,
    pair::CASES,
    election::CASES,
    control::CASES,
    page::CASES,
    garp::CASES,
    probe::CASES,
    ipvs::CASES,
    tcp_check::CASES,
    bfd::GUEST,
    pools::CASES,
    table::CASES,
    connections::CASES,
    plan::CASES,
    settings::CASES,
    marks::CASES,
    sync::CASES,
    checks::CASES,
    pages::CASES,
    backends::CASES,
    order::CASES,
    daemon::CASES,
    addresses::CASES,
    lease::CASES,
    options::CASES,
    namespaces::CASES,
    own_links::GUEST,
    keywords::more::GUEST,
    firewall::iptables::GUEST,
    routes::CASES,
    silence::GUEST,
    notify::CASES,
    bad_input::CASES,
    facts::CASES,
    unit::CASES,
    scenarios::GUEST,
    scenarios::DOCKER,
];

/// Of those in [`ALL`], the ones whose guest wants more memory.
pub(crate) const LARGE: &[&[Case]] = &[scenarios::DOCKER];
