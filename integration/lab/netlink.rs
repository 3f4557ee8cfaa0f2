//! What programs asked the kernel to change: every netlink request of a namespace, seen through an
//! interface of type nlmon.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::check::{Outcome, ensure};
use super::net::Host;
use super::sys;

/// Changes that were asked for, by name, and how often.
pub(crate) type Writes = BTreeMap<&'static str, usize>;

/// Changes in the order in which they were asked for; as many as fit a case.
type Sequence = Vec<&'static str>;
const SEQUENCE_MAX: usize = 100_000;

/// Watches one namespace until it is dropped.
pub(crate) struct Requests {
    socket: Arc<OwnedFd>,
    asked: Arc<Mutex<Sequence>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Requests {
    /// From now on, every request of a process on `host`.
    pub(crate) fn watch(host: &Host) -> Outcome<Self> {
        host.ip("link add nlmon0 type nlmon\nlink set nlmon0 up\n")?;
        let opened = host.within(|| sys::packet_socket(sys::interface_index("nlmon0")?))?;
        let socket = opened.map_err(|e| format!("watch netlink of {}: {e}", host.name()))?;
        let socket = Arc::new(socket);
        let ipvs = ipvs_family(host)?;
        let asked = Arc::new(Mutex::new(Sequence::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, enough) = (Arc::clone(&asked), Arc::clone(&stop));
        let shared = Arc::clone(&socket);
        let reader = std::thread::spawn(move || read_requests(&shared, ipvs, &seen, &enough));
        Ok(Self {
            socket,
            asked,
            stop,
            reader: Some(reader),
        })
    }

    /// Forgets what it saw.
    pub(crate) fn forget(&self) {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Changes of the IPVS table, addresses, routes, rules and links so far, in their order; an
    /// error if some may have been missed.
    pub(crate) fn sequence(&self) -> Outcome<Sequence> {
        // What is on its way is read within a moment.
        std::thread::sleep(Duration::from_millis(200));
        let dropped = sys::dropped_frames(&self.socket)?;
        ensure!(dropped == 0, "{dropped} netlink messages were not seen");
        Ok(self
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    /// The same, counted.
    pub(crate) fn writes(&self) -> Outcome<Writes> {
        let mut writes = Writes::new();
        for name in self.sequence()? {
            *writes.entry(name).or_default() += 1;
        }
        Ok(writes)
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has nothing more to say.
            let _ = reader.join();
        }
    }
}

/// The number that the kernel gave to the generic netlink family IPVS.
fn ipvs_family(host: &Host) -> Outcome<u16> {
    // Asking for the table loads the module.
    host.run(&["ipvsadm", "-Sn"])?;
    let list = host.run(&["genl", "ctrl", "list"])?;
    let after = list
        .split("Name: IPVS")
        .nth(1)
        .and_then(|rest| rest.split("ID: 0x").nth(1));
    let digits = after.and_then(|rest| rest.split_whitespace().next());
    let id = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
    id.ok_or_else(|| format!("no family IPVS in: {list}").into())
}

fn read_requests(socket: &OwnedFd, ipvs: u16, asked: &Mutex<Sequence>, stop: &AtomicBool) {
    let mut buffer = vec![0_u8; 1 << 17];
    while !stop.load(Ordering::SeqCst) {
        if !sys::readable(socket, Duration::from_millis(50)).unwrap_or(false) {
            continue;
        }
        let Ok(got) = sys::receive_frame(socket, &mut buffer) else {
            continue;
        };
        let mut rest = buffer.get(..got.len).unwrap_or_default();
        while let Some(len) = message_length(rest) {
            let (message, after) = rest.split_at(len);
            if let Some(name) = write_name(message, got.protocol, ipvs) {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                if asked.len() < SEQUENCE_MAX {
                    asked.push(name);
                }
            }
            // Messages begin at multiples of four: NLMSG_ALIGN of linux/netlink.h.
            rest = after
                .get(len.next_multiple_of(4) - len..)
                .unwrap_or_default();
        }
    }
}

/// Length of the message at the start, if it is all there.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_ne_bytes(bytes.get(0..4)?.try_into().ok()?);
    let len = usize::try_from(len).ok()?;
    (len >= 16 && len <= bytes.len()).then_some(len)
}

/// The name of the change that `message` asks for; none for questions, answers and news.
fn write_name(message: &[u8], protocol: u16, ipvs: u16) -> Option<&'static str> {
    const NETLINK_ROUTE: u16 = 0;
    const NETLINK_GENERIC: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    let flags = u16::from_ne_bytes(message.get(6..8)?.try_into().ok()?);
    if flags & NLM_F_REQUEST == 0 {
        return None;
    }
    match protocol {
        NETLINK_ROUTE => route_write(kind),
        NETLINK_GENERIC if kind == ipvs => ipvs_write(*message.get(16)?),
        _ => None,
    }
}

/// RTM_NEW* and RTM_DEL* of linux/rtnetlink.h that a daemon of ours may send.
fn route_write(kind: u16) -> Option<&'static str> {
    Some(match kind {
        16 => "link new",
        17 => "link del",
        19 => "link set",
        20 => "address new",
        21 => "address del",
        24 => "route new",
        25 => "route del",
        28 => "neighbour new",
        29 => "neighbour del",
        32 => "rule new",
        33 => "rule del",
        _ => return None,
    })
}

/// IPVS_CMD_* of linux/ip_vs.h that change anything.
fn ipvs_write(command: u8) -> Option<&'static str> {
    Some(match command {
        1 => "service new",
        2 => "service set",
        3 => "service del",
        5 => "server new",
        6 => "server set",
        7 => "server del",
        9 => "sync daemon new",
        10 => "sync daemon del",
        12 => "timeouts set",
        16 => "counters zero",
        17 => "flush",
        _ => return None,
    })
}
