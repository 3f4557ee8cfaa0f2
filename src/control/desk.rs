//! Where everything that is asked for comes together: the threads' views, each kept for a moment so that
//! a thousand curious clients cost a thread no more than one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use crate::daemon::balancer_thread::Order;
use crate::daemon::failover_thread::{Caller, Command};
use crate::daemon::standby::Standby;
use crate::engine::{balancer, failover};
use crate::kernel::clock;
use crate::kernel::ipvs::Snapshot;
use crate::kernel::scheduling::Lateness;
use crate::time::Time;

use super::events::Log;
use super::model::{Daemon, KernelSetting, Plan, Reload, Stamp, Status};
use super::status;

/// How old a view may be that somebody is shown.
const VIEW_AGE: Duration = Duration::from_millis(100);
/// The same of the kernel's counters, which take longer to read.
const TRAFFIC_AGE: Duration = Duration::from_secs(1);
/// How long a thread may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What main is asked for.
#[derive(Debug)]
pub enum Ask {
    /// Read the configuration again, and say what came of it.
    Reload(oneshot::Sender<Reload>),
    /// End.
    Stop {
        /// VIPs and services stay where they are.
        keep: bool,
        /// It is under way, or why nothing can be kept.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Say what a file would change, or the one that runs when it is read again.
    Plan(Option<PathBuf>, oneshot::Sender<Plan>),
}

/// What main knows.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The configuration file.
    pub configuration: String,
    /// The host's name.
    pub host: String,
    /// When the daemon was started.
    pub started: Time,
    /// How the settings of the kernel are that matter.
    pub kernel: Vec<KernelSetting>,
    /// The last reload.
    pub reload: Option<Reload>,
    /// How many were done, and how many refused.
    pub reloads: (u64, u64),
    /// Since when this node stands by, and why, if it does.
    pub standby: Option<Standby>,
}

/// Everything that can be asked.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    failover: Caller,
    balancer: mpsc::UnboundedSender<Order>,
    asks: mpsc::Sender<Ask>,
    facts: watch::Receiver<Facts>,
    log: Log,
    lateness: Lateness,
    failover_view: Mutex<Kept<failover::View>>,
    balancer_view: Mutex<Kept<balancer::View>>,
    traffic: Mutex<Kept<Option<Snapshot>>>,
    /// The status as JSON, without and with what the kernel counts.
    status: [Mutex<Kept<axum::body::Bytes>>; 2],
    /// When the last order was answered, in nanoseconds of the clock.
    ordered: AtomicU64,
}

/// A value and when it was had.
type Kept<T> = Option<Had<T>>;

#[derive(Debug)]
struct Had<T> {
    asked: Time,
    answered: Time,
    value: Arc<T>,
}

/// A thread does not answer; which.
#[derive(Clone, Copy, Debug)]
pub struct Stuck(pub &'static str);

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the {} thread has not answered for {} s: look into the log",
            self.0,
            ANSWER_MAX.as_secs()
        )
    }
}

impl Desk {
    /// Over these.
    pub fn new(
        failover: Caller,
        balancer: mpsc::UnboundedSender<Order>,
        asks: mpsc::Sender<Ask>,
        facts: watch::Receiver<Facts>,
        log: Log,
        lateness: Lateness,
    ) -> Desk {
        Desk(Arc::new(Inner {
            failover,
            balancer,
            asks,
            facts,
            log,
            lateness,
            failover_view: Mutex::default(),
            balancer_view: Mutex::default(),
            traffic: Mutex::default(),
            status: Default::default(),
            ordered: AtomicU64::new(0),
        }))
    }

    /// An order was carried out and is about to be answered: whoever looks from then on sees what it did,
    /// nothing that was kept from before.
    pub fn ordered(&self) {
        let now = clock::now().as_nanos();
        self.0.ordered.fetch_max(now, Ordering::Relaxed);
    }

    /// What is kept, if whoever looks from `now` on may have it.
    fn still<T>(&self, kept: &Kept<T>, age: Duration, now: Time) -> Option<Arc<T>> {
        let had = kept.as_ref()?;
        let before = had.asked.as_nanos() <= self.0.ordered.load(Ordering::Relaxed);
        // Whoever waited for the same answer takes it too.
        let young = had.answered >= now || clock::now().since(had.answered) < age;
        (young && !before).then(|| Arc::clone(&had.value))
    }

    /// What happened.
    pub(super) fn log(&self) -> &Log {
        &self.0.log
    }

    /// How late the failover thread's timers were.
    pub(super) fn lateness(&self) -> &Lateness {
        &self.0.lateness
    }

    /// What main knows now.
    pub(super) fn facts(&self) -> Facts {
        self.0.facts.borrow().clone()
    }

    /// Tells the failover thread something.
    pub fn command(&self, command: Command) {
        self.0.failover.send(command);
    }

    /// Asks main for something.
    pub(super) async fn ask(&self, ask: Ask) -> Result<(), Stuck> {
        let sent = self.0.asks.send(ask);
        let sent = tokio::time::timeout(ANSWER_MAX, sent).await;
        sent.map_err(drop)
            .and_then(|sent| sent.map_err(drop))
            .map_err(|()| Stuck("main"))
    }

    /// The failover engine, as it was a moment ago.
    pub async fn failover(&self) -> Result<Arc<failover::View>, Stuck> {
        self.fresh(&self.0.failover_view, VIEW_AGE, "failover", |reply| {
            self.0.failover.send(Command::View(reply));
        })
        .await
    }

    /// The same, as it is now.
    pub async fn failover_now(&self) -> Result<Arc<failover::View>, Stuck> {
        self.fresh(&self.0.failover_view, Duration::ZERO, "failover", |reply| {
            self.0.failover.send(Command::View(reply));
        })
        .await
    }

    /// The balancer, as it was a moment ago.
    pub async fn balancer(&self) -> Result<Arc<balancer::View>, Stuck> {
        self.fresh(&self.0.balancer_view, VIEW_AGE, "balancer", |reply| {
            drop(self.0.balancer.send(Order::View(reply)));
        })
        .await
    }

    /// The same, as it is now.
    pub(super) async fn balancer_now(&self) -> Result<Arc<balancer::View>, Stuck> {
        self.fresh(&self.0.balancer_view, Duration::ZERO, "balancer", |reply| {
            drop(self.0.balancer.send(Order::View(reply)));
        })
        .await
    }

    /// Tells the balancer's thread something.
    pub(super) fn order(&self, order: Order) {
        drop(self.0.balancer.send(order));
    }

    /// The kernel's counters of IPVS; none, where it is not used or cannot be read.
    pub async fn traffic(&self) -> Result<Arc<Option<Snapshot>>, Stuck> {
        self.fresh(&self.0.traffic, TRAFFIC_AGE, "balancer", |reply| {
            drop(self.0.balancer.send(Order::Traffic(reply)));
        })
        .await
    }

    /// The whole status, and the view of the balancer that it is of.
    async fn status_of(&self) -> Result<(Status, Arc<balancer::View>), Stuck> {
        let failover = self.failover().await?;
        let balancer = self.balancer().await?;
        let facts = self.facts();
        let now = clock::now();
        let daemon = Daemon {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            host: facts.host,
            configuration: facts.configuration,
            started: stamp(facts.started),
            standby: false,
            standby_since: facts.standby.as_ref().map(ToString::to_string),
            waits_for: None,
            reload: facts.reload,
            last_event: self.0.log.last(),
            events_lost: self.0.log.lost(),
        };
        let clock = |stamp: &str| clock::local_words(stamp);
        let mut status = status::status(
            stamp(now),
            daemon,
            &failover,
            Some(&balancer),
            &stamp,
            &clock,
        );
        status.kernel = facts.kernel;
        Ok((status, balancer))
    }

    /// The same as JSON, made once for all who ask in the same moment; `traffic`: with what the kernel counts.
    pub async fn status_json(&self, traffic: bool) -> Result<axum::body::Bytes, Stuck> {
        let [without, with] = &self.0.status;
        let mut kept = if traffic { with } else { without }.lock().await;
        let asked = clock::now();
        if let Some(bytes) = self.still(&kept, VIEW_AGE, asked) {
            return Ok(axum::body::Bytes::clone(&bytes));
        }
        let (mut status, balancer) = self.status_of().await?;
        if traffic && let Some(counted) = self.traffic().await?.as_ref() {
            status::add_traffic(&mut status, &balancer, counted);
        }
        let json = serde_json::to_vec(&status).unwrap_or_default();
        let bytes = axum::body::Bytes::from(json);
        *kept = Some(Had {
            asked,
            answered: asked,
            value: Arc::new(bytes.clone()),
        });
        Ok(bytes)
    }

    /// What is kept, if it is not older than that; else what a thread answers.
    async fn fresh<T>(
        &self,
        kept: &Mutex<Kept<T>>,
        age: Duration,
        thread: &'static str,
        ask: impl FnOnce(oneshot::Sender<T>),
    ) -> Result<Arc<T>, Stuck> {
        let wanted = clock::now();
        let mut kept = kept.lock().await;
        if let Some(value) = self.still(&kept, age, wanted) {
            return Ok(value);
        }
        let (reply, answer) = oneshot::channel();
        let asked = clock::now();
        ask(reply);
        match tokio::time::timeout(ANSWER_MAX, answer).await {
            Ok(Ok(value)) => {
                let value = Arc::new(value);
                *kept = Some(Had {
                    asked,
                    answered: clock::now(),
                    value: Arc::clone(&value),
                });
                Ok(value)
            }
            Ok(Err(_)) | Err(_) => Err(Stuck(thread)),
        }
    }
}

/// Nanoseconds from 1970 to boot, as last found. It is kept while it is right to 50 ms, so that a point in
/// time is the same each time it is told.
static BOOT: AtomicU64 = AtomicU64::new(0);

/// A point in time, since 1970.
pub(super) fn epoch(at: Time) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the wall clock, for people")]
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let wall = u64::try_from(wall.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    let found = wall.saturating_sub(clock::now().as_nanos());
    let mut boot = BOOT.load(Ordering::Relaxed);
    if boot.abs_diff(found) > 50_000_000 {
        BOOT.store(found, Ordering::Relaxed);
        boot = found;
    }
    Duration::from_nanos(boot.saturating_add(at.as_nanos()))
}

/// A point in time for the outside.
pub(super) fn stamp(at: Time) -> Stamp {
    stamp_of(wall(at))
}

/// What the clock on the wall says at a point in time, as it is set now.
pub(super) fn wall(at: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + epoch(at)
}

/// A time of the wall clock for the outside.
pub(super) fn stamp_of(at: SystemTime) -> Stamp {
    humantime::format_rfc3339_millis(at).to_string()
}
