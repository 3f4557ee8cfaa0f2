//! What a configuration would change: read as for a reload, then rehearsed on copies of the engines. Nothing
//! that runs waits for it, but for the moment in which it is copied.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::control::model::Plan;
use crate::control::{Rehearsed, plan};
use crate::engine::balancer::Rehearsal;
use crate::engine::failover::Failover;
use crate::kernel::clock;
use crate::lvs::Owned;

use super::balancer_thread::{self, Copied, Kernel as _, Order, Seen};
use super::failover_thread::{Caller, Command};
use super::failure::{Failure, Status};
use super::home::Home;
use super::options::Options;
use super::prepare::{self, Prepared};

/// How long a thread may take to copy itself.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Lists what IPVS holds where the module is loaded.
const IPVS_IS_THERE: &str = "/proc/net/ip_vs";

/// Reaches both engines.
#[derive(Clone, Debug)]
pub(super) struct Planner {
    pub(super) failover: Caller,
    pub(super) balancer: mpsc::UnboundedSender<Order>,
}

impl Planner {
    /// What putting `prepared` in force would change. On a thread that may wait.
    ///
    /// # Errors
    /// A thread does not answer, or IPVS cannot be read.
    pub(super) fn plan(&self, prepared: &Prepared, running: &Config) -> Result<Plan, Failure> {
        let (reply, copied) = oneshot::channel();
        let _ = self.balancer.send(Order::Copy(reply));
        let copied: Copied = answered(copied, "balancer")?;
        let (reply, engine) = oneshot::channel();
        self.failover.send(Command::Copy(reply));
        let engine: Box<Failover> = answered(engine, "failover")?;
        let config = &prepared.config;
        let now = clock::now();
        let Seen {
            observation,
            snapshot,
        } = match copied.seen {
            Some(seen) => seen.map_err(Failure::fatal)?,
            None => look(config)?,
        };
        let ipvs: Rehearsal = copied
            .balancer
            .rehearse(Arc::clone(config), observation, now);
        let net = engine.rehearse(Arc::clone(config), now);
        Ok(plan(&Rehearsed {
            running,
            config,
            ipvs: &ipvs,
            seen: &snapshot,
            net: &net,
            links: &prepared.picture.links,
        }))
    }

    /// The plan for a file, errors in it included.
    pub(super) fn plan_file(
        &self,
        file: &Path,
        options: &Options,
        (running, home): (&Config, &Home),
    ) -> Plan {
        let said = Plan {
            configuration: file.display().to_string(),
            ..Plan::default()
        };
        let planned = read(file, options, (running, home)).and_then(|mut prepared| {
            let warnings = std::mem::take(&mut prepared.warnings);
            let plan = self.plan(&prepared, running)?;
            Ok(Plan {
                configuration: said.configuration.clone(),
                warnings,
                ..plan
            })
        });
        planned.unwrap_or_else(|failure| Plan {
            errors: failure.text.lines().map(str::to_owned).collect(),
            ..said
        })
    }
}

fn answered<T>(answer: oneshot::Receiver<T>, thread: &str) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::fatal(format!("wait for the {thread} thread: {error}")))?;
    let answer = runtime.block_on(async { tokio::time::timeout(ANSWER_MAX, answer).await });
    answer.ok().and_then(Result::ok).ok_or_else(|| {
        let text = format!("the {thread} thread does not answer: look into the log");
        Failure::new(Status::Software, text)
    })
}

fn read(
    file: &Path,
    options: &Options,
    (running, home): (&Config, &Home),
) -> Result<Prepared, Failure> {
    let read = prepare::prepare_anew(file, options, (running, home), |_| {});
    read.map(|(prepared, _)| prepared)
}

/// The daemon has had nothing to do with IPVS: others may have. The module is not loaded for a look.
fn look(config: &Config) -> Result<Seen, Failure> {
    if config.virtual_servers.is_empty() || !Path::new(IPVS_IS_THERE).exists() {
        return Ok(Seen::default());
    }
    let opened = balancer_thread::open_ipvs(config, &Owned::default());
    match opened.map_err(|error| Failure::fatal(error.to_string()))? {
        None => Ok(Seen::default()),
        Some(mut ipvs) => ipvs.see().map_err(Failure::fatal),
    }
}
