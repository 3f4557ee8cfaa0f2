//! The thread that asks devices for their link: a driver may take its time to answer.

use std::os::fd::AsFd;
use std::time::Duration;

use tracing::{info, warn};

use crate::config::model::LinkBeat;
use crate::errno::Words;
use crate::fact::{FactKind, FactValue};
use crate::kernel::clock;
use crate::kernel::linkbeat::Prober;
use crate::kernel::poll::{Interest, Poller};
use crate::net::InterfaceName;

use super::{Cell, Inbox, News};

/// How often each is asked, as in keepalived.
const ASK: Duration = Duration::from_secs(1);

/// An interface, and how it is to be asked; `None`: as it can be.
pub(super) type Asked = (InterfaceName, Option<LinkBeat>);

struct Beat {
    interface: InterfaceName,
    configured: Option<LinkBeat>,
    /// What it was found to answer; `None` while it is not there.
    how: Option<LinkBeat>,
    said: Option<bool>,
}

pub(super) fn run(inbox: &Inbox<Asked>, cell: &Cell) {
    let prober = match Prober::open() {
        Ok(prober) => prober,
        Err(error) => {
            warn!("ask links for their state: {}", Words(&error));
            return;
        }
    };
    let mut beats: Vec<Beat> = Vec::new();
    let mut poller = Poller::new();
    let mut ask_at = clock::now();
    loop {
        poller.clear();
        poller.watch(inbox.waker.as_fd(), Interest::Read);
        if let Err(error) = poller.wait((!beats.is_empty()).then_some(ask_at)) {
            warn!("links are not asked for their state any more: {error}");
            return;
        }
        match inbox.take() {
            News::None => {}
            News::Order(order) => {
                let beat = |(interface, configured)| Beat {
                    interface,
                    configured,
                    how: None,
                    said: None,
                };
                beats = order.trackers.into_iter().map(beat).collect();
                ask_at = clock::now();
            }
            News::End => return,
        }
        let now = clock::now();
        if now < ask_at {
            continue;
        }
        ask_at = now + ASK;
        for beat in &mut beats {
            let up = beat.ask(&prober);
            if beat.said.replace(up) != Some(up) {
                let name = beat.interface.as_str();
                cell.tell(FactKind::Linkbeat, name, FactValue::of(up));
            }
        }
    }
}

impl Beat {
    fn ask(&mut self, prober: &Prober) -> bool {
        if let Some(how) = self.how {
            match prober.ask(&self.interface, how) {
                Ok(up) => return up,
                // Gone, or another one under its name.
                Err(_) => self.how = None,
            }
        }
        // As configured, else what answers first; the flags of the kernel always do where there is one.
        let all = [LinkBeat::Mii, LinkBeat::Ethtool, LinkBeat::Ioctl];
        let ways = self.configured.into_iter().chain(all);
        for how in ways {
            if let Ok(up) = prober.ask(&self.interface, how) {
                if let Some(configured) = self.configured.filter(|wanted| *wanted != how) {
                    let name = &self.interface;
                    info!(
                        "({name}): Configured linkbeat type {configured} not supported, using {how}"
                    );
                }
                self.how = Some(how);
                return up;
            }
        }
        false
    }
}
