//! Addresses of this machine, as they come and go (`ha_suspend`).

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::kernel::route::{Event, Monitor, Route};

/// Hears of addresses. For the network namespace that the thread is in.
pub(super) struct Followed {
    monitor: Monitor,
    readiness: AsyncFd<OwnedFd>,
    route: Route,
    /// Which of those that were asked for last were here.
    here: BTreeSet<IpAddr>,
}

impl Followed {
    /// Must be called on the thread that runs the checks.
    pub(super) fn open() -> io::Result<Followed> {
        let monitor = Monitor::open()?;
        let readiness = monitor.readiness()?;
        let route = Route::open()?;
        Ok(Followed {
            monitor,
            readiness,
            route,
            here: BTreeSet::new(),
        })
    }

    /// Which of `wanted` are here; `None` when that cannot be found out, which is logged.
    pub(super) fn read(&mut self, wanted: &BTreeSet<IpAddr>) -> Option<BTreeSet<IpAddr>> {
        match self.route.addresses() {
            Ok(all) => {
                let here = all.iter().map(|address| address.key.cidr.addr());
                self.here = here.filter(|address| wanted.contains(address)).collect();
                Some(self.here.clone())
            }
            Err(error) => {
                tracing::warn!("ha_suspend: {error}; what was known before holds");
                None
            }
        }
    }

    /// Waits until one of `wanted` came or went.
    async fn changed(&mut self, wanted: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        loop {
            let Ok(mut ready) = self.readiness.readable().await else {
                return std::future::pending().await;
            };
            ready.clear_ready();
            drop(ready);
            let concerned = concerned(&mut self.monitor, wanted, &self.here);
            if concerned && let Some(here) = self.read(wanted) {
                return here;
            }
        }
    }
}

/// [`Followed::changed`], or never.
pub(super) async fn changed(
    followed: Option<&mut Followed>,
    wanted: &BTreeSet<IpAddr>,
) -> BTreeSet<IpAddr> {
    match followed {
        Some(followed) => followed.changed(wanted).await,
        None => std::future::pending().await,
    }
}

/// Reads everything that waits; whether something of it is about one of `wanted`.
fn concerned(monitor: &mut Monitor, wanted: &BTreeSet<IpAddr>, here: &BTreeSet<IpAddr>) -> bool {
    let mut concerned = false;
    loop {
        match monitor.next() {
            Ok(Some(Event::AddressAdded(address))) => {
                // One that was here has another lifetime now, which is renewed all the time.
                let address = address.key.cidr.addr();
                concerned |= wanted.contains(&address) && !here.contains(&address);
            }
            Ok(Some(Event::AddressRemoved(key))) => concerned |= wanted.contains(&key.cidr.addr()),
            Ok(Some(Event::Overrun)) => concerned = true,
            Ok(Some(_)) => {}
            Ok(None) => return concerned,
            Err(error) => {
                tracing::warn!("ha_suspend: hear of addresses: {error}");
                return true;
            }
        }
    }
}
