//! What really went over a cable: every frame of one interface, with the kernel's time of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::check::Outcome;
use super::net::{Host, Port};
use super::sys;

/// A frame that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Since the epoch, by the guest's clock; the same clock for every capture.
    pub(crate) at: Duration,
    pub(crate) src_mac: [u8; 6],
    pub(crate) dst_mac: [u8; 6],
    pub(crate) packet: Packet,
    /// All of it, up to [`BYTES_MAX`]: of VRRP, of announcements, and of what carries them.
    pub(crate) bytes: Vec<u8>,
}

/// The longest frame that is read.
const BYTES_MAX: usize = 256;

/// Whether cases compare the bytes of such a frame: VRRP (112), an authentication header (51), a
/// neighbour advertisement (136 of protocol 58), ARP.
fn is_kept(bytes: &[u8]) -> bool {
    match u16_at(bytes, 12) {
        Some(0x0800) => matches!(bytes.get(23), Some(51 | 112)),
        Some(0x86dd) => match bytes.get(20) {
            Some(112) => true,
            Some(58) => bytes.get(54) == Some(&136),
            _ => false,
        },
        Some(0x0806) => true,
        _ => false,
    }
}

/// What a frame carries, as far as cases look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A VRRP advertisement over IPv4.
    Advert(Advert),
    /// An ARP message.
    Arp(Arp),
    /// A UDP datagram over IPv4.
    Udp {
        src: (Ipv4Addr, u16),
        dst: (Ipv4Addr, u16),
    },
    /// An answer to an ICMP echo request, over IPv4.
    EchoReply { src: Ipv4Addr, dst: Ipv4Addr },
    /// Who joins and leaves which group, over IPv4.
    Igmp,
    /// A BFD control packet, of either family.
    Bfd(Bfd),
    /// Anything else.
    Other,
}

/// A BFD control packet and what is around it; RFC 5880 section 4.1, RFC 5881 sections 4 and 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bfd {
    pub(crate) src: IpAddr,
    pub(crate) hops: u8,
    /// Source and destination.
    pub(crate) ports: (u16, u16),
    /// As the length of the datagram has it.
    pub(crate) len: usize,
    pub(crate) diagnostic: u8,
    /// 0 AdminDown, 1 Down, 2 Init, 3 Up.
    pub(crate) state: u8,
    pub(crate) poll: bool,
    pub(crate) is_final: bool,
    pub(crate) multiplier: u8,
    /// Microseconds.
    pub(crate) min_tx: u32,
    /// Microseconds.
    pub(crate) min_rx: u32,
}

/// Single hop and multihop.
const BFD_PORTS: [u16; 2] = [3784, 4784];

/// The fields of a VRRP advertisement; RFC 3768 section 5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advert {
    pub(crate) src: Ipv4Addr,
    pub(crate) dst: Ipv4Addr,
    pub(crate) ttl: u8,
    pub(crate) version: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) addresses: Vec<Ipv4Addr>,
}

/// The fields of an ARP message; RFC 826.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arp {
    /// 1 request, 2 reply.
    pub(crate) operation: u16,
    pub(crate) sender: Ipv4Addr,
    pub(crate) target: Ipv4Addr,
}

impl Arp {
    /// It asks who has an address, and claims none (RFC 5227).
    pub(crate) fn is_probe(&self) -> bool {
        self.sender.is_unspecified()
    }

    /// Whether it announces its sender's own address.
    pub(crate) fn is_gratuitous(&self) -> bool {
        self.sender == self.target
    }
}

/// A capture that goes on until it is dropped.
pub(crate) struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// From now on, every frame of the interface `dev` of `host`, both ways.
    pub(crate) fn on(host: &Host, dev: &str) -> Outcome<Self> {
        let opened = host.within(|| sys::packet_socket(sys::interface_index(dev)?))?;
        let socket = opened.map_err(|e| format!("capture on {dev} of {}: {e}", host.name()))?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, enough) = (Arc::clone(&frames), Arc::clone(&stop));
        let reader = std::thread::spawn(move || read_frames(&socket, &seen, &enough));
        Ok(Self {
            frames,
            stop,
            reader: Some(reader),
        })
    }

    /// From now on, every frame at the switch's end of `port`: what left and what reached its host.
    pub(crate) fn at(port: &Port) -> Outcome<Self> {
        Self::on(port.switch(), &port.name)
    }

    /// All frames so far, oldest first.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All advertisements so far, oldest first.
    pub(crate) fn adverts(&self) -> Vec<(Frame, Advert)> {
        let pick = |frame: Frame| match frame.packet.clone() {
            Packet::Advert(advert) => Some((frame, advert)),
            _ => None,
        };
        self.frames().into_iter().filter_map(pick).collect()
    }

    /// All BFD packets of `source` so far, oldest first.
    pub(crate) fn bfd(&self, source: impl Into<IpAddr>) -> Vec<(Duration, Bfd)> {
        let source = source.into();
        let pick = |frame: Frame| match frame.packet {
            Packet::Bfd(packet) if packet.src == source => Some((frame.at, packet)),
            _ => None,
        };
        self.frames().into_iter().filter_map(pick).collect()
    }

    /// All gratuitous ARP for `address` so far, oldest first.
    pub(crate) fn gratuitous(&self, address: Ipv4Addr) -> Vec<Frame> {
        let wanted = |frame: &Frame| match &frame.packet {
            Packet::Arp(arp) => arp.is_gratuitous() && arp.sender == address,
            _ => false,
        };
        self.frames().into_iter().filter(wanted).collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            // A reader that panicked has nothing more to say.
            let _ = reader.join();
        }
    }
}

/// A capture keeps at most so many frames, should a storm break out.
const FRAMES_MAX: usize = 200_000;

fn read_frames(socket: &OwnedFd, frames: &Mutex<Vec<Frame>>, stop: &AtomicBool) {
    let mut buffer = [0_u8; BYTES_MAX];
    while !stop.load(Ordering::SeqCst) {
        if !sys::readable(socket, Duration::from_millis(50)).unwrap_or(false) {
            continue;
        }
        let Ok(got) = sys::receive_frame(socket, &mut buffer) else {
            continue;
        };
        let bytes = buffer.get(..got.len).unwrap_or_default();
        let Some(frame) = frame(bytes, got.at) else {
            continue;
        };
        let mut frames = frames.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < FRAMES_MAX {
            frames.push(frame);
        }
    }
}

fn frame(bytes: &[u8], at: Duration) -> Option<Frame> {
    let dst_mac = bytes.get(0..6)?.try_into().ok()?;
    let src_mac = bytes.get(6..12)?.try_into().ok()?;
    let payload = bytes.get(14..)?;
    let packet = match u16_at(bytes, 12)? {
        0x0800 => ipv4(payload),
        0x86dd => ipv6(payload),
        0x0806 => arp(payload),
        _ => None,
    };
    Some(Frame {
        at,
        src_mac,
        dst_mac,
        packet: packet.unwrap_or(Packet::Other),
        bytes: if is_kept(bytes) {
            bytes.to_vec()
        } else {
            Vec::new()
        },
    })
}

fn ipv4(bytes: &[u8]) -> Option<Packet> {
    let header = usize::from(bytes.first()? & 0x0f) * 4;
    let (src, dst) = (ipv4_at(bytes, 12)?, ipv4_at(bytes, 16)?);
    let body = bytes.get(header..)?;
    match bytes.get(9)? {
        2 => Some(Packet::Igmp),
        1 if *body.first()? == 0 => Some(Packet::EchoReply { src, dst }),
        112 => {
            let count = usize::from(*body.get(3)?);
            let addresses = (0..count).map_while(|n| ipv4_at(body, 8 + 4 * n)).collect();
            Some(Packet::Advert(Advert {
                src,
                dst,
                ttl: *bytes.get(8)?,
                version: body.first()? >> 4,
                vrid: *body.get(1)?,
                priority: *body.get(2)?,
                addresses,
            }))
        }
        17 if BFD_PORTS.contains(&u16_at(body, 2)?) => bfd(src.into(), *bytes.get(8)?, body),
        17 => Some(Packet::Udp {
            src: (src, u16_at(body, 0)?),
            dst: (dst, u16_at(body, 2)?),
        }),
        _ => None,
    }
}

/// Only BFD; without extension headers.
fn ipv6(bytes: &[u8]) -> Option<Packet> {
    let body = bytes.get(40..)?;
    if *bytes.get(6)? != 17 || !BFD_PORTS.contains(&u16_at(body, 2)?) {
        return None;
    }
    let src = <[u8; 16]>::try_from(bytes.get(8..24)?).ok()?;
    bfd(Ipv6Addr::from(src).into(), *bytes.get(7)?, body)
}

fn bfd(src: IpAddr, hops: u8, datagram: &[u8]) -> Option<Packet> {
    let packet = datagram.get(8..)?;
    let (first, second) = (*packet.first()?, *packet.get(1)?);
    Some(Packet::Bfd(Bfd {
        src,
        hops,
        ports: (u16_at(datagram, 0)?, u16_at(datagram, 2)?),
        len: usize::from(u16_at(datagram, 4)?).checked_sub(8)?,
        diagnostic: first & 0x1f,
        state: second >> 6,
        poll: second & 0x20 != 0,
        is_final: second & 0x10 != 0,
        multiplier: *packet.get(2)?,
        min_tx: u32_at(packet, 12)?,
        min_rx: u32_at(packet, 16)?,
    }))
}

fn arp(bytes: &[u8]) -> Option<Packet> {
    let operation = u16_at(bytes, 6)?;
    Some(Packet::Arp(Arp {
        operation,
        sender: ipv4_at(bytes, 14)?,
        target: ipv4_at(bytes, 24)?,
    }))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)?
        .try_into()
        .ok()
        .map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}

fn ipv4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes.get(at..at + 4)?)
        .ok()
        .map(Ipv4Addr::from)
}
