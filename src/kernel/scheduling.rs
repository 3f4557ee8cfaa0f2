//! How the kernel schedules the threads of this process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::sys::scheduling as sys;

/// The signal that says that the limit of [`set_real_time_limit`] was reached.
pub const TOO_LONG: i32 = libc::SIGXCPU;

/// A thread of this process, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread(u32);

impl Thread {
    /// The main thread.
    pub fn main() -> Thread {
        Thread(std::process::id())
    }

    /// The first thread that has this name now.
    ///
    /// # Errors
    /// /proc is not mounted, or there is none.
    pub fn named(name: &str) -> io::Result<Thread> {
        for entry in std::fs::read_dir("/proc/self/task")?.flatten() {
            let number = entry.file_name().to_str().and_then(|n| n.parse().ok());
            let own = std::fs::read_to_string(entry.path().join("comm"));
            if let (Some(number), Ok(own)) = (number, own)
                && own.trim_end() == name
            {
                return Ok(Thread(number));
            }
        }
        Err(io::Error::other(format!("no thread is called {name}")))
    }

    /// Has ps and top call it so; 15 bytes count.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rename(self, name: &str) -> io::Result<()> {
        std::fs::write(format!("/proc/self/task/{}/comm", self.0), name)
    }

    /// The nice value.
    ///
    /// # Errors
    /// The kernel's.
    pub fn nice(self) -> io::Result<i8> {
        sys::nice(self.0)
    }

    /// Sets the nice value, -20 to 19.
    ///
    /// # Errors
    /// `EACCES` without CAP_SYS_NICE.
    pub fn set_nice(self, nice: i8) -> io::Result<()> {
        sys::set_nice(self.0, nice)
    }

    /// Sets a real-time priority (SCHED_RR, 1 to 99); 0 takes it away.
    ///
    /// # Errors
    /// `EPERM` without CAP_SYS_NICE, or where a control group has no real-time budget.
    pub fn set_real_time(self, priority: u8) -> io::Result<()> {
        sys::set_real_time(self.0, priority)
    }

    /// The processors that it may run on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn affinity(self) -> io::Result<Vec<u16>> {
        sys::affinity(self.0)
    }

    /// Keeps it on these processors.
    ///
    /// # Errors
    /// `EINVAL` when none of them is there.
    pub fn set_affinity(self, processors: &[u16]) -> io::Result<()> {
        sys::set_affinity(self.0, processors)
    }
}

/// After how long without a blocking call a thread with a real-time priority brings SIGXCPU upon this
/// process; `None`: never.
///
/// # Errors
/// The kernel's.
pub fn set_real_time_limit(limit: Option<Duration>) -> io::Result<()> {
    let micros = limit.map(|limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX));
    sys::set_real_time_limit(micros)
}

/// Keeps the memory of this process from being swapped: what is in use now, and what is touched later.
///
/// # Errors
/// `EPERM` without CAP_IPC_LOCK.
pub fn lock_memory() -> io::Result<()> {
    sys::lock_memory()
}

/// Undoes [`lock_memory`].
///
/// # Errors
/// The kernel's.
pub fn unlock_memory() -> io::Result<()> {
    sys::unlock_memory()
}

/// Upper ends of the steps in which lateness is counted, in microseconds.
pub const STEPS_US: [u64; 11] = [
    50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000, 1_000_000,
];

/// How late a thread met its deadlines: it notes, others look. Clones share one value.
#[derive(Clone, Debug, Default)]
pub struct Lateness(Arc<Late>);

#[derive(Debug, Default)]
struct Late {
    worst: AtomicU64,
    /// All together, in microseconds.
    sum: AtomicU64,
    /// By step; the last is for what is beyond.
    steps: [AtomicU64; STEPS_US.len() + 1],
}

impl Lateness {
    /// A deadline was met this late.
    pub fn note(&self, late: Duration) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.0.worst.fetch_max(micros, Ordering::Relaxed);
        self.0.sum.fetch_add(micros, Ordering::Relaxed);
        let step = STEPS_US.iter().position(|end| micros <= *end);
        if let Some(count) = self.0.steps.get(step.unwrap_or(STEPS_US.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many deadlines were met in each of [`STEPS_US`] and beyond, and how late all were together.
    pub fn counted(&self) -> (Vec<u64>, Duration) {
        let steps = self.0.steps.iter();
        let counts = steps.map(|count| count.load(Ordering::Relaxed)).collect();
        (
            counts,
            Duration::from_micros(self.0.sum.load(Ordering::Relaxed)),
        )
    }

    /// The worst since it was last asked.
    pub fn take(&self) -> Duration {
        Duration::from_micros(self.0.worst.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_found_by_its_name_and_renamed() {
        let (keep, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("sleeper-a".into());
        let thread = thread.spawn(move || wait.recv()).unwrap();
        while Thread::named("sleeper-a").is_err() {
            std::thread::yield_now();
        }
        let found = Thread::named("sleeper-a").unwrap();
        found.rename("sleeper-b").unwrap();
        assert!(Thread::named("sleeper-a").is_err());
        assert_eq!(Thread::named("sleeper-b").unwrap(), found);
        // To be nicer is everybody's right.
        let nice = found.nice().unwrap();
        found.set_nice((nice + 1).min(19)).unwrap();
        assert_eq!(found.nice().unwrap(), (nice + 1).min(19));
        let processors = found.affinity().unwrap();
        found.set_affinity(&processors[..1]).unwrap();
        assert_eq!(found.affinity().unwrap(), processors[..1]);
        drop(keep);
        assert!(thread.join().unwrap().is_err());
    }

    #[test]
    fn the_worst_lateness_is_told_once() {
        let lateness = Lateness::default();
        lateness.note(Duration::from_millis(5));
        lateness.clone().note(Duration::from_millis(2));
        assert_eq!(lateness.take(), Duration::from_millis(5));
        assert_eq!(lateness.take(), Duration::ZERO);
        let (counts, sum) = lateness.counted();
        assert_eq!(counts, [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
        assert_eq!(sum, Duration::from_millis(7));
    }
}
