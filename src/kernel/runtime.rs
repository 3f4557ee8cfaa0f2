//! What a thread that runs tokio waits for beside sockets of tokio's: a descriptor of our own, and a time.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use tokio::io::unix::AsyncFd;

use crate::time::Time;

use super::sys;

/// A descriptor to wait for. Must be called in the context of a runtime.
///
/// # Errors
/// The kernel cannot wait for it: a file of the disk, or too many watched files (epoll_ctl(2)).
pub fn wait_for(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    sys::poll::wait_for(fd)
}

/// Rings at a deadline, to the kernel's precision and over a suspended machine. tokio's own timers do neither,
/// and one that is set when no other is under way costs two system calls more: the runtime wakes itself.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// What it is set to; `None` while it has to be set.
    set_to: Option<Option<Time>>,
}

impl Alarm {
    /// Must be called in the context of a runtime.
    ///
    /// # Errors
    /// Too many open files, or no memory.
    pub fn new() -> io::Result<Alarm> {
        Ok(Alarm {
            timer: wait_for(sys::poll::timerfd()?)?,
            set_to: None,
        })
    }

    /// Rings at this time; without one not at all, or once at the time before. A system call, if that is
    /// something new.
    pub fn set(&mut self, deadline: Option<Time>) {
        if self.set_to == Some(deadline) {
            return;
        }
        if let Some(deadline) = deadline {
            // It has no error to give: the descriptor is a timer and the time is one (timerfd_settime(2)).
            let _ = sys::poll::expire_at(self.timer.get_ref().as_fd(), deadline.as_nanos().max(1));
        }
        self.set_to = Some(deadline);
    }

    /// Waits until it rings; then it has to be set again. Nothing is lost when this is not waited for.
    pub async fn rings(&mut self) {
        match self.timer.readable().await {
            // It is not read: to set it makes it unreadable.
            Ok(mut ready) => ready.clear_ready(),
            // The runtime ends.
            Err(_) => std::future::pending().await,
        }
        self.set_to = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kernel::clock;

    #[test]
    fn it_rings_at_its_deadline_each_time_it_is_set_and_when_that_comes_earlier() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        runtime.unwrap().block_on(async {
            let mut alarm = Alarm::new().unwrap();
            let late = clock::now() + Duration::from_secs(3600);
            for _ in 0..2 {
                alarm.set(Some(late));
                let deadline = clock::now() + Duration::from_millis(15);
                alarm.set(Some(deadline));
                alarm.set(Some(deadline));
                alarm.rings().await;
                assert!(clock::now() >= deadline);
                // One that has passed rings at once.
                alarm.set(Some(deadline));
                alarm.rings().await;
                alarm.set(Some(Time::ZERO));
                alarm.rings().await;
            }
            assert!(clock::now() < late);
        });
    }

    #[test]
    fn what_it_was_set_to_before_does_not_ring() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        runtime.unwrap().block_on(async {
            let mut alarm = Alarm::new().unwrap();
            alarm.set(Some(clock::now() + Duration::from_millis(5)));
            let deadline = clock::now() + Duration::from_millis(60);
            alarm.set(Some(deadline));
            alarm.rings().await;
            assert!(clock::now() >= deadline);
        });
    }
}
