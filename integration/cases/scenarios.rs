//! Systems that users built and wrote articles about, with their own files, unedited, and vipd in
//! keepalived's place; docs/scenarios has a page for each.
//!
//! Each is played by three pairs at the same time: vipd on both machines, keepalived on both, and one of
//! each. Where keepalived alone does not get to what the article promises, the report says so.

mod client;
mod compose;
mod direct;
mod dual_masters;
mod image;
mod nginx_docker;
mod nginx_pair;
mod pxc;
mod site;
mod steps;
mod timeline;

use std::time::Duration;

use self::site::{PAIRS, Plan, Play, Site};
use self::timeline::Played;
use crate::cases::daemon::only_vipd;
use crate::lab::check::{Failure, Outcome};
use crate::lab::daemon::Kind;
use crate::lab::{Case, Lab};

/// Those that run on this machine's kernel.
pub(crate) const NATIVE: &[Case] = &[Case {
    name: "scenario.dual_masters",
    proves: "two masters whose script, with its #! on line 2, starts nginx again and gives the address up \
                 only when that fails",
    limit: Duration::from_secs(240),
    run: dual_masters::run,
}];

/// Those that need IPVS.
pub(crate) const GUEST: &[Case] = &[Case {
    name: "scenario.nginx_pair",
    proves: "a pair without preemption: a restart hands over and stays away, a script that stops keepalived \
             gives the address up, the sync daemon of IPVS follows, and mails arrive where they are asked for",
    // Dealt out to the guests by these: it uses more of its limit than others do.
    limit: Duration::from_secs(600),
    run: nginx_pair::run,
}];

/// Those that need IPVS and Docker, and the memory for that.
pub(crate) const DOCKER: &[Case] = &[
    Case {
        name: "scenario.nginx_docker",
        proves: "two masters, nginx in Docker behind each: a host that stops, dies or returns takes its address \
                 with it; a container that is stopped is seen by the script, and moves the address as soon as \
                 `nopreempt`, which the warning names, is gone",
        limit: Duration::from_secs(900),
        run: nginx_docker::run,
    },
    Case {
        name: "scenario.compose",
        proves: "a compose project with the daemon beside nginx in two containers: docker stop moves the \
                 address, docker start brings it back; the virtual server is in the kernel as keepalived has it \
                 there, and a server that dies is looked at again as often as nb_get_retry says; vipd's own \
                 image runs with NET_ADMIN alone, says what it lacks, and starts again after a kill",
        limit: Duration::from_secs(900),
        run: compose::run,
    },
    Case {
        name: "scenario.pxc",
        proves: "two HAProxy containers share an address before five Galera nodes, the machine leads its own \
                 there: docker pause, unpause, stop and start of one move it and lose no acknowledged row",
        limit: Duration::from_secs(900),
        run: pxc::run,
    },
];

/// A scenario: its machines, and what happens to them.
struct Story {
    /// Address of the client.
    client: &'static str,
    /// What the client asks, with the port.
    vips: &'static [&'static str],
    /// How long a step may take.
    limit: Duration,
    /// The same for keepalived alone, where some step never comes to its end.
    reference_limit: Duration,
    /// By what runs on them.
    plans: fn([Kind; 2]) -> [Plan; 2],
    play: fn(&mut Play<'_>) -> Outcome,
}

/// All three pairs play it; the report has the table of their steps.
fn perform(lab: &Lab, story: &Story) -> Outcome {
    only_vipd(lab)?;
    let mut sites = Vec::new();
    // A network is no more than its namespaces once it is built.
    for pair in PAIRS {
        sites.push(Site::new(lab, pair, story.client, (story.plans)(pair.1))?.0);
    }
    let ended: Vec<Outcome<Played>> = std::thread::scope(|scope| {
        let begun: Vec<_> = sites
            .iter_mut()
            .map(|site| scope.spawn(move || one_pair(site, story)))
            .collect();
        let panicked = || Err(Failure::failed("a pair panicked"));
        begun
            .into_iter()
            .map(|pair| pair.join().unwrap_or_else(|_| panicked()))
            .collect()
    });
    let ended = ended.into_iter().collect::<Outcome<Vec<_>>>()?;
    timeline::show(lab, &ended);
    Ok(())
}

fn one_pair(site: &mut Site, story: &Story) -> Outcome<Played> {
    site.boot()?;
    let pair = site.pair;
    let limit = if site.is_reference() {
        story.reference_limit
    } else {
        story.limit
    };
    let mut play = Play::begin(site, story.vips, limit)?;
    (story.play)(&mut play)?;
    Ok((pair, play.steps.end()))
}
