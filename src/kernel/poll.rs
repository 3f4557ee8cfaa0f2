//! Waiting: for descriptors, until a deadline, or to be woken by another thread. For the threads that
//! must not wait for anything else, and so do not run tokio.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::time::Time;

use super::{clock, sys};

/// A set of descriptors to wait for, filled anew each turn. Filling it with as many as ever before
/// allocates nothing.
#[derive(Debug, Default)]
pub struct Poller {
    fds: Vec<libc::pollfd>,
    timer: Option<Timer>,
}

/// The kernel lets a thread without a real-time priority oversleep the timeout of poll(2) by a thousandth
/// of it: a router that waits 3.6 s for a silent master, by 3.6 ms. It does not so with a timer of its own.
#[derive(Debug)]
struct Timer {
    timerfd: OwnedFd,
    /// When it expires, or has expired.
    at: Time,
}

/// Shorter waits are exact enough without a timer, which costs one more system call.
const TIMER_FROM: Duration = Duration::from_millis(1);

/// Which descriptor of a [`Poller`], until its next [`Poller::clear`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something can be read, or the other end is gone.
    Read,
    /// Something can be written, or the other end is gone.
    Write,
    /// Either.
    ReadWrite,
}

/// What a descriptor was found to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read will not block; it may return an error or the end.
    pub readable: bool,
    /// A write will not block; it may return an error.
    pub writable: bool,
}

impl Poller {
    /// An empty set.
    pub fn new() -> Poller {
        Poller::default()
    }

    /// An empty set whose deadlines are met as exactly as the kernel can, however long it waits.
    ///
    /// # Errors
    /// Too many open files, or no memory.
    pub fn exact() -> io::Result<Poller> {
        let timer = Timer {
            timerfd: sys::poll::timerfd()?,
            at: Time::ZERO,
        };
        Ok(Poller {
            fds: Vec::new(),
            timer: Some(timer),
        })
    }

    /// Empties the set, keeping its memory. Slots handed out before mean nothing any more.
    pub fn clear(&mut self) {
        self.fds.clear();
    }

    /// Adds a descriptor. It has to stay open until [`Poller::wait`] returned: the set keeps its number
    /// only.
    pub fn watch(&mut self, fd: BorrowedFd<'_>, interest: Interest) -> Slot {
        let events = match interest {
            Interest::Read => libc::POLLIN,
            Interest::Write => libc::POLLOUT,
            Interest::ReadWrite => libc::POLLIN | libc::POLLOUT,
        };
        self.fds.push(libc::pollfd {
            fd: fd.as_raw_fd(),
            events,
            revents: 0,
        });
        Slot(self.fds.len() - 1)
    }

    /// Waits until a descriptor is ready or `deadline` has come; without one, as long as it takes. A
    /// signal, or a deadline of an earlier call, may end the wait early with nothing ready.
    ///
    /// While the machine is suspended the kernel's timeout stands still, though [`Time`] does not: a
    /// deadline that fell into the sleep is met late after it, unless something can be read earlier, or the
    /// set is [exact](Poller::exact).
    ///
    /// # Errors
    /// `ENOMEM`, or `EINVAL` for more descriptors than the process may have.
    pub fn wait(&mut self, deadline: Option<Time>) -> io::Result<()> {
        let now = clock::now();
        let timeout = deadline.map(|deadline| deadline.until(now));
        let done = match (&mut self.timer, deadline, timeout) {
            (Some(timer), Some(deadline), Some(timeout)) if timeout >= TIMER_FROM => {
                timer.expire_by(deadline, now)?;
                self.fds.push(libc::pollfd {
                    fd: timer.timerfd.as_raw_fd(),
                    events: libc::POLLIN,
                    revents: 0,
                });
                let done = sys::poll::ppoll(&mut self.fds, None);
                self.fds.pop();
                done
            }
            _ => sys::poll::ppoll(&mut self.fds, timeout),
        };
        match done {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                for fd in &mut self.fds {
                    fd.revents = 0;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// What the last wait found of a descriptor. Errors and a closed other end count as readable (and
    /// writable): the read (or write) says what it is.
    pub fn readiness(&self, slot: Slot) -> Readiness {
        const ENDED: i16 = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let revents = self.fds.get(slot.0).map_or(0, |fd| fd.revents);
        Readiness {
            readable: revents & (libc::POLLIN | ENDED) != 0,
            writable: revents & (libc::POLLOUT | ENDED) != 0,
        }
    }

    /// Whether the last wait found that a read will not block.
    pub fn is_readable(&self, slot: Slot) -> bool {
        self.readiness(slot).readable
    }
}

impl Timer {
    /// It expires at `deadline`, or at an earlier time that is still to come: deadlines are put off with
    /// every packet, and one that comes for nothing costs less than setting the timer each time.
    fn expire_by(&mut self, deadline: Time, now: Time) -> io::Result<()> {
        if self.at <= now || self.at > deadline {
            sys::poll::expire_at(self.timerfd.as_fd(), deadline.as_nanos())?;
            self.at = deadline;
        }
        Ok(())
    }
}

/// Wakes a thread that waits in a [`Poller`]; clones wake the same one. Neither end ever blocks, and any
/// number of wake-ups before the next [`Waker::drain`] count as one.
#[derive(Clone, Debug)]
pub struct Waker {
    eventfd: Arc<File>,
}

impl Waker {
    /// The thread that is to be woken watches it with [`Interest::Read`].
    ///
    /// # Errors
    /// Too many open files, or no memory.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker {
            eventfd: Arc::new(File::from(sys::poll::eventfd()?)),
        })
    }

    /// Ends the wait, or the next one when nobody is waiting now.
    pub fn wake(&self) {
        // The only failure is EAGAIN, at 2^64 - 2 wake-ups not drained: then it is awake already.
        let _ = (&*self.eventfd).write(&1u64.to_ne_bytes());
    }

    /// Takes all wake-ups so far; to be called before looking at what they were about. Returns whether
    /// there were any.
    pub fn drain(&self) -> bool {
        let mut count = [0; 8];
        (&*self.eventfd).read(&mut count).is_ok()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_deadline_is_not_met_early() {
        let mut poller = Poller::new();
        let deadline = clock::now() + Duration::from_millis(20);
        poller.wait(Some(deadline)).unwrap();
        assert!(clock::now() >= deadline);
    }

    #[test]
    fn an_exact_set_waits_for_the_deadline_of_the_call_whatever_the_ones_before_it_were() {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::exact().unwrap();
        let slot = poller.watch(waker.as_fd(), Interest::Read);
        let in_ms = |ms| clock::now() + Duration::from_millis(ms);
        // Set, then put off: it may wake for nothing, once.
        waker.wake();
        poller.wait(Some(in_ms(15))).unwrap();
        assert!(poller.is_readable(slot));
        waker.drain();
        let later = in_ms(40);
        poller.wait(Some(later)).unwrap();
        poller.wait(Some(later)).unwrap();
        assert!(clock::now() >= later);
        assert!(!poller.is_readable(slot));
        // Set, then earlier.
        waker.wake();
        poller.wait(Some(in_ms(60_000))).unwrap();
        waker.drain();
        let earlier = in_ms(10);
        poller.wait(Some(earlier)).unwrap();
        assert!(clock::now() >= earlier);
        assert!(clock::now() < earlier + Duration::from_secs(30));
        // What has expired ends no other wait.
        let last = in_ms(10);
        poller.wait(Some(last)).unwrap();
        assert!(clock::now() >= last);
    }

    #[test]
    fn a_deadline_that_has_passed_does_not_wait() {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::new();
        let slot = poller.watch(waker.as_fd(), Interest::Read);
        poller.wait(Some(Time::ZERO)).unwrap();
        assert!(!poller.is_readable(slot));
    }

    #[test]
    fn another_thread_ends_the_wait_and_two_wake_ups_count_as_one() {
        let waker = Waker::new().unwrap();
        let other = waker.clone();
        let mut poller = Poller::new();
        let slot = poller.watch(waker.as_fd(), Interest::Read);
        let thread = std::thread::spawn(move || {
            other.wake();
            other.wake();
        });
        poller.wait(None).unwrap();
        thread.join().unwrap();
        assert!(poller.is_readable(slot));
        assert!(waker.drain());
        assert!(!waker.drain());
    }

    #[test]
    fn each_descriptor_is_told_apart() {
        let (a, b) = UnixDatagram::pair().unwrap();
        let (c, _d) = UnixDatagram::pair().unwrap();
        b.send(b"x").unwrap();
        let mut poller = Poller::new();
        for _ in 0..2 {
            poller.clear();
            let first = poller.watch(c.as_fd(), Interest::Read);
            let second = poller.watch(a.as_fd(), Interest::Read);
            let third = poller.watch(c.as_fd(), Interest::ReadWrite);
            poller.wait(None).unwrap();
            assert_eq!(poller.readiness(first), Readiness::default());
            assert!(poller.is_readable(second));
            let writable = Readiness {
                readable: false,
                writable: true,
            };
            assert_eq!(poller.readiness(third), writable);
        }
    }

    #[test]
    fn filling_the_set_again_allocates_nothing() {
        let waker = Waker::new().unwrap();
        let mut poller = Poller::new();
        for _ in 0..3 {
            poller.watch(waker.as_fd(), Interest::Read);
        }
        let memory = poller.fds.as_ptr();
        poller.clear();
        for _ in 0..3 {
            poller.watch(waker.as_fd(), Interest::Read);
        }
        assert_eq!(poller.fds.as_ptr(), memory);
    }
}
