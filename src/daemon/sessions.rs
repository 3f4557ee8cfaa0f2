//! The sockets of BFD sessions, opened and closed as the engine asks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::{AsFd as _, BorrowedFd};

use tracing::{info, warn};

use crate::engine::failover::SessionId;
use crate::kernel::bfd_socket::{BfdListener, BfdSender, Received};
use crate::net::{BfdArrival, BfdPath, Family};

/// Where packets can come in.
pub(super) const ARRIVALS: [BfdArrival; 4] = [
    arrival(Family::V4, false),
    arrival(Family::V4, true),
    arrival(Family::V6, false),
    arrival(Family::V6, true),
];

const fn arrival(family: Family, multihop: bool) -> BfdArrival {
    BfdArrival { family, multihop }
}

/// Sockets of every session.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    listeners: BTreeMap<BfdArrival, BfdListener>,
    senders: BTreeMap<SessionId, Mouth>,
}

#[derive(Debug)]
struct Mouth {
    path: BfdPath,
    socket: BfdSender,
    /// Sending failed, which was told.
    mute: bool,
}

impl Sessions {
    /// Opens what a session needs; all or nothing.
    ///
    /// # Errors
    /// In words.
    pub(super) fn open(&mut self, session: SessionId, path: BfdPath) -> Result<(), String> {
        let socket = BfdSender::open(&path, session.0.get()).map_err(|error| error.to_string())?;
        let arrival = path.arrival();
        if let Entry::Vacant(place) = self.listeners.entry(arrival) {
            place.insert(BfdListener::open(arrival).map_err(|error| error.to_string())?);
        }
        let mute = false;
        self.senders.insert(session, Mouth { path, socket, mute });
        Ok(())
    }

    /// Closes it again; who listens for nobody any more does not listen.
    pub(super) fn close(&mut self, session: SessionId) {
        self.senders.remove(&session);
        let senders = &self.senders;
        self.listeners.retain(|arrival, _| {
            let mut left = senders.values();
            left.any(|mouth| mouth.path.arrival() == *arrival)
        });
    }

    /// Sends a packet. That it does not go out is told once until it does: the neighbor will notice, and
    /// with it everybody whom it concerns.
    pub(super) fn send(&mut self, session: SessionId, packet: &[u8]) {
        let Some(mouth) = self.senders.get_mut(&session) else {
            return;
        };
        let neighbor = mouth.path.neighbor;
        match mouth.socket.send(packet) {
            Ok(()) if mouth.mute => {
                mouth.mute = false;
                info!("BFD packets to {neighbor} can be sent again");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut mouth.mute, true) {
                    let error = crate::errno::Words(&error);
                    warn!("send BFD packet to {neighbor}: {error}");
                }
            }
        }
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.listeners.values().map(|listener| listener.as_fd())
    }

    /// The next packet that came in there.
    pub(super) fn recv(&self, arrival: BfdArrival, buffer: &mut [u8]) -> Option<Received> {
        // An error is of one packet, or of memory; the next turn sees what is left.
        self.listeners.get(&arrival)?.recv(buffer).ok().flatten()
    }
}
