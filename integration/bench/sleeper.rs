//! A bare real-time sleeper: how late this machine wakes even a thread that does nothing and runs before
//! all others. Whatever a daemon is late beyond that is its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::Late;
use crate::lab::sys;

const PERIOD: Duration = Duration::from_millis(1);
/// Above every real-time priority that a daemon is given here.
pub(super) const FIRST: i32 = 80;

/// One thread on each CPU; ends when dropped.
pub(super) struct Sleeper {
    late: Arc<Mutex<Vec<Duration>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sleeper {
    pub(super) fn start() -> Self {
        let (late, stop) = (Arc::default(), Arc::<AtomicBool>::default());
        let threads = sys::allowed_cpus().into_iter().map(|cpu| {
            let (late, stop) = (Arc::clone(&late), Arc::clone(&stop));
            thread::spawn(move || sleep_on(cpu, &late, &stop))
        });
        let threads = threads.collect();
        Self {
            late,
            stop,
            threads,
        }
    }

    /// How late all threads woke since this was last asked.
    pub(super) fn late(&self) -> Late {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        Late::of(std::mem::take(&mut late))
    }
}

fn sleep_on(cpu: usize, late: &Mutex<Vec<Duration>>, stop: &AtomicBool) {
    // Without them it is a sleeper still, and says so by its figures.
    let _ = sys::run_on(cpu).and_then(|()| sys::run_first(FIRST));
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        sleep(PERIOD);
        let by = began.elapsed().saturating_sub(PERIOD);
        late.lock().unwrap_or_else(PoisonError::into_inner).push(by);
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked measured nothing, which shows as zero.
            let _ = thread.join();
        }
    }
}
