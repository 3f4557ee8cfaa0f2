//! `vrrp_rt_priority` and the like: how the threads are scheduled, as the configuration says. Done by the
//! main thread for all of them, at the start and with each reload. What the kernel refuses is told and
//! left as it is.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::config::Config;
use crate::config::model::SchedulingSettings;
use crate::kernel::scheduling::{
    Lateness, Thread, lock_memory, set_real_time_limit, unlock_memory,
};

/// Without a `vrrp_rlimit_rttime`, in microseconds, as keepalived has it.
const REAL_TIME_LIMIT: u32 = 10_000;
/// Without a `min_auto_priority_delay`, in microseconds.
const AUTO_DELAY: u32 = 1_000_000;
/// How often lateness is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// The highest real-time priority (sched(7)).
const HIGHEST: u8 = 99;

/// What one thread is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    name: String,
    nice: Option<i8>,
    real_time: Option<u8>,
    processors: Vec<u16>,
}

/// A thread, what it had at first, and what it has.
#[derive(Debug)]
struct Scheduled {
    thread: Thread,
    nice: i8,
    processors: Vec<u16>,
    has: Wanted,
}

/// How the threads are scheduled.
#[derive(Debug)]
pub(super) struct Scheduling {
    main: Option<Scheduled>,
    failover: Option<Scheduled>,
    balancer: Option<Scheduled>,
    locked: bool,
    limit: Option<u32>,
    lateness: Lateness,
    /// `max_auto_priority` and `min_auto_priority_delay`.
    auto: Option<(u8, Duration)>,
}

impl Scheduling {
    /// Finds the threads, which have the names that they were started with.
    pub(super) async fn new(lateness: Lateness) -> Scheduling {
        let own = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
        Scheduling {
            main: found(Ok(Thread::main()), own.trim_end()),
            failover: found(soon("failover").await, "failover"),
            balancer: found(soon("balancer").await, "balancer"),
            locked: false,
            limit: None,
            lateness,
            auto: None,
        }
    }

    /// As `config` says from now on.
    pub(super) fn apply(&mut self, config: &Config) {
        let settings = &config.globals.scheduling;
        let bfd = !config.bfd_instances.is_empty();
        let failover = of_failover(settings, bfd);
        let balancer = of_balancer(settings);
        let limit = rlimit(settings, bfd, &failover, &balancer);
        if limit != self.limit {
            let time = limit.map(|micros| Duration::from_micros(micros.into()));
            told("limit real-time threads", set_real_time_limit(time));
            self.limit = limit;
        }
        let main = Wanted {
            name: settings.process_name.clone().unwrap_or_default(),
            ..Wanted::default()
        };
        set(&mut self.main, main);
        set(&mut self.failover, failover);
        set(&mut self.balancer, balancer);
        let lock =
            settings.vrrp_no_swap || settings.checker_no_swap || (bfd && settings.bfd_no_swap);
        if lock != self.locked {
            let done = if lock { lock_memory() } else { unlock_memory() };
            self.locked = told("keep memory from being swapped", done) && lock;
        }
        self.auto = auto(settings);
    }

    /// Whether lateness has to be looked at.
    pub(super) fn looks(&self) -> bool {
        self.auto.is_some()
    }

    /// Gives the failover thread more priority when it was late, one step at a time.
    pub(super) fn look(&mut self) {
        let late = self.lateness.take();
        let (Some((max, delay)), Some(failover)) = (self.auto, &mut self.failover) else {
            return;
        };
        let has = failover.has.real_time.unwrap_or(0);
        if late < delay || has >= max {
            return;
        }
        if told(
            "raise the priority of VRRP",
            failover.thread.set_real_time(has + 1),
        ) {
            failover.has.real_time = Some(has + 1);
            info!(
                "a timer of VRRP was {:.3} s late: its real-time priority is {} now",
                late.as_secs_f64(),
                has + 1
            );
        }
    }

    /// SIGXCPU: a thread ran for longer than the limit without waiting. It goes on as any other.
    pub(super) fn calm(&mut self) {
        for scheduled in [&mut self.failover, &mut self.balancer]
            .into_iter()
            .flatten()
        {
            if scheduled.has.real_time.take().is_some() {
                told(
                    "take real-time priority away",
                    scheduled.thread.set_real_time(0),
                );
            }
        }
        self.auto = None;
        error!(
            "a thread with real-time priority ran for longer than vrrp_rlimit_rttime without waiting: \
             real-time priorities are off until the next reload"
        );
    }
}

/// A thread takes its name when it begins to run, which may be in a moment.
async fn soon(name: &str) -> io::Result<Thread> {
    for _ in 0..100 {
        if let Ok(thread) = Thread::named(name) {
            return Ok(thread);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Thread::named(name)
}

fn found(thread: io::Result<Thread>, name: &str) -> Option<Scheduled> {
    let scheduled = thread.and_then(|thread| {
        Ok(Scheduled {
            thread,
            nice: thread.nice()?,
            processors: thread.affinity()?,
            has: Wanted {
                name: name.to_owned(),
                ..Wanted::default()
            },
        })
    });
    match scheduled {
        Ok(scheduled) => Some(scheduled),
        Err(error) => {
            warn!("thread {name}: its scheduling cannot be changed: {error}");
            None
        }
    }
}

/// Does what is not so already; without a wish, it is as it was at first.
fn set(scheduled: &mut Option<Scheduled>, mut wanted: Wanted) {
    let Some(scheduled) = scheduled else {
        return;
    };
    let thread = scheduled.thread;
    let has = &scheduled.has;
    if wanted.name.is_empty() {
        wanted.name.clone_from(&has.name);
    }
    let name = &wanted.name;
    if *name != has.name {
        told(format!("call a thread {name}"), thread.rename(name));
    }
    if wanted.nice != has.nice {
        let nice = wanted.nice.unwrap_or(scheduled.nice);
        told(
            format!("set nice value {nice} of {name}"),
            thread.set_nice(nice),
        );
    }
    if wanted.real_time != has.real_time {
        let priority = wanted.real_time.unwrap_or(0);
        let what = format!("set real-time priority {priority} of {name}");
        if !told(what, thread.set_real_time(priority)) {
            wanted.real_time = has.real_time;
        }
    }
    if wanted.processors != has.processors {
        let processors = if wanted.processors.is_empty() {
            &scheduled.processors
        } else {
            &wanted.processors
        };
        let what = format!("keep {name} on processors {processors:?}");
        told(what, thread.set_affinity(processors));
    }
    scheduled.has = wanted;
}

/// Says what did not work, on which object and what to do.
fn told(what: impl Display, done: io::Result<()>) -> bool {
    if let Err(error) = &done {
        warn!("{what}: {error}; it needs CAP_SYS_NICE (CAP_IPC_LOCK for memory)");
    }
    done.is_ok()
}

/// BFD lives on the failover thread: what is said of it counts where VRRP is not spoken of.
fn of_failover(settings: &SchedulingSettings, bfd: bool) -> Wanted {
    let bfd_nice = settings.bfd_priority.filter(|_| bfd);
    let bfd_real_time = settings.bfd_rt_priority.filter(|_| bfd);
    let processors = match &settings.vrrp_cpu_affinity[..] {
        [] if bfd => &settings.bfd_cpu_affinity,
        own => own,
    };
    Wanted {
        name: name(
            settings,
            &settings.vrrp_process_name,
            "keepalived_vrrp",
            "failover",
        ),
        nice: settings.vrrp_priority.or(bfd_nice),
        real_time: settings.vrrp_rt_priority.or(bfd_real_time),
        processors: numbers(processors),
    }
}

fn of_balancer(settings: &SchedulingSettings) -> Wanted {
    Wanted {
        name: name(
            settings,
            &settings.checker_process_name,
            "keepalived_lvs",
            "balancer",
        ),
        nice: settings.checker_priority,
        real_time: settings.checker_rt_priority,
        processors: numbers(&settings.checker_cpu_affinity),
    }
}

fn name(settings: &SchedulingSettings, own: &Option<String>, common: &str, plain: &str) -> String {
    let otherwise = if settings.process_names {
        common
    } else {
        plain
    };
    own.as_deref().unwrap_or(otherwise).to_owned()
}

fn numbers(words: &[String]) -> Vec<u16> {
    let number = |word: &String| {
        let number = word.parse().ok();
        if number.is_none() {
            warn!("`{word}` is no number of a processor: it is left out");
        }
        number
    };
    words.iter().filter_map(number).collect()
}

/// One limit for the process: the smallest of what its real-time threads were given.
fn rlimit(
    settings: &SchedulingSettings,
    bfd: bool,
    failover: &Wanted,
    balancer: &Wanted,
) -> Option<u32> {
    let auto = auto(settings).is_some();
    let own = settings.vrrp_rlimit_rttime;
    let own = own.or(settings.bfd_rlimit_rttime.filter(|_| bfd));
    let of_failover =
        (failover.real_time.is_some() || auto).then(|| own.unwrap_or(REAL_TIME_LIMIT));
    let of_balancer = balancer
        .real_time
        .map(|_| settings.checker_rlimit_rttime.unwrap_or(REAL_TIME_LIMIT));
    [of_failover, of_balancer].into_iter().flatten().min()
}

fn auto(settings: &SchedulingSettings) -> Option<(u8, Duration)> {
    let max = match settings.max_auto_priority? {
        None => HIGHEST,
        Some(max) => u8::try_from(max).ok().filter(|max| *max > 0)?,
    };
    let delay = settings.min_auto_priority_delay.unwrap_or(AUTO_DELAY);
    Some((max, Duration::from_micros(delay.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfd_counts_where_vrrp_is_not_spoken_of() {
        let mut settings = SchedulingSettings {
            bfd_rt_priority: Some(7),
            bfd_cpu_affinity: vec!["1".into(), "x".into()],
            ..SchedulingSettings::default()
        };
        assert_eq!(of_failover(&settings, false).real_time, None);
        let wanted = of_failover(&settings, true);
        assert_eq!((wanted.real_time, wanted.processors), (Some(7), vec![1]));
        settings.vrrp_rt_priority = Some(9);
        assert_eq!(of_failover(&settings, true).real_time, Some(9));
    }

    #[test]
    fn real_time_threads_are_limited_and_others_are_not() {
        let mut settings = SchedulingSettings::default();
        let limit = |settings: &SchedulingSettings| {
            let (failover, balancer) = (of_failover(settings, false), of_balancer(settings));
            rlimit(settings, false, &failover, &balancer)
        };
        settings.vrrp_rlimit_rttime = Some(5000);
        assert_eq!(limit(&settings), None);
        settings.checker_rt_priority = Some(1);
        assert_eq!(limit(&settings), Some(REAL_TIME_LIMIT));
        settings.vrrp_rt_priority = Some(1);
        assert_eq!(limit(&settings), Some(5000));
    }

    #[test]
    fn automatic_priority_is_off_unless_asked_for() {
        let mut settings = SchedulingSettings::default();
        assert_eq!(auto(&settings), None);
        for (word, max) in [
            (Some(-1), None),
            (Some(0), None),
            (Some(3), Some(3)),
            (None, Some(99)),
        ] {
            settings.max_auto_priority = Some(word);
            assert_eq!(auto(&settings).map(|(max, _)| max), max, "{word:?}");
        }
    }
}
