//! What a successor needs to know after a crash: who was master when, and which IPVS objects are ours.
//!
//! `masters` holds one entry of fixed size for each virtual router, overwritten in place with every
//! advert: one short write into a file on tmpfs, which survives us but not a reboot. Its head names the
//! boot and the network namespace; under another of either it says nothing. `ipvs.json` is rewritten
//! whole when what we name changes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize, Serializer};

use crate::engine::failover::Beat;
use crate::ipvs::{DestinationKey, ServiceKey, SyncRole};
use crate::lvs::Owned;
use crate::net::{Endpoint, Family, FwMark, InterfaceIndex, MacAddr, Protocol};
use crate::time::Time;

use super::run_dir::{write_whole, write_whole_by};

const MAGIC: &[u8; 8] = b"vipdbt02";
const HEAD_LEN: usize = 8 + 36 + 8;
const ENTRY_LEN: usize = 24;
/// Entries that are read back; more than there are VRIDs on a few hundred links.
const ENTRIES_MAX: usize = 65_536;

/// This boot and this network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// Inode of /proc/self/ns/net.
    pub namespace: u64,
}

impl Place {
    /// Where we are.
    ///
    /// # Errors
    /// When /proc is not mounted.
    pub fn here() -> io::Result<Place> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?
            .trim()
            .to_owned();
        let namespace = fs::metadata("/proc/self/ns/net")?.ino();
        Ok(Place { boot_id, namespace })
    }

    fn head(&self) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[..8].copy_from_slice(MAGIC);
        for (to, from) in head[8..44].iter_mut().zip(self.boot_id.bytes()) {
            *to = from;
        }
        head[44..].copy_from_slice(&self.namespace.to_le_bytes());
        head
    }
}

/// Number of the interface (0: none), its hardware address, VRID, whether IPv6.
type MasterKey = (u32, MacAddr, u8, bool);

fn key(beat: &Beat) -> MasterKey {
    let interface = beat.interface.map_or(0, InterfaceIndex::get);
    (interface, beat.mac, beat.vrid, beat.family == Family::V6)
}

/// The file `masters`, open for writing.
#[derive(Debug)]
pub struct Masters {
    file: File,
    offsets: BTreeMap<MasterKey, u64>,
    next: u64,
}

impl Masters {
    /// Starts the file anew, with what the predecessor left in it: we may be killed too before we have
    /// sent an advert, and our successor has to know.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(path: &Path, place: &Place, left: &LeftBehind) -> io::Result<Masters> {
        let mut bytes = place.head().to_vec();
        let mut offsets = BTreeMap::new();
        for (key, at) in &left.0 {
            offsets.insert(*key, bytes.len() as u64);
            bytes.extend(entry(key, at.as_nanos()));
        }
        write_whole(path, &bytes)?;
        Ok(Masters {
            file: File::options().write(true).open(path)?,
            offsets,
            next: bytes.len() as u64,
        })
    }

    /// Notes an advert sent at `now`; one that says goodbye, or the end of being master, erases.
    ///
    /// # Errors
    /// What the file system says; the worst that follows is a slower start after a crash.
    pub fn note(&mut self, beat: &Beat, now: Time) -> io::Result<()> {
        let key = key(beat);
        let offset = *self.offsets.entry(key).or_insert_with(|| {
            let offset = self.next;
            self.next += ENTRY_LEN as u64;
            offset
        });
        let at = if beat.alive { now.as_nanos() } else { 0 };
        self.file.write_all_at(&entry(&key, at), offset)
    }
}

fn entry(key: &MasterKey, at: u64) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    entry[..4].copy_from_slice(&key.0.to_le_bytes());
    entry[4..10].copy_from_slice(&key.1.0);
    entry[10] = key.2;
    entry[11] = u8::from(key.3);
    entry[16..].copy_from_slice(&at.to_le_bytes());
    entry
}

/// When each virtual router sent its last advert as master, as a predecessor left it.
#[derive(Clone, Debug, Default)]
pub struct LeftBehind(BTreeMap<MasterKey, Time>);

impl LeftBehind {
    /// Reads the file; empty when it is missing, of another boot or namespace, or not ours.
    pub fn read(path: &Path, place: &Place) -> LeftBehind {
        let Ok(bytes) = fs::read(path) else {
            return LeftBehind::default();
        };
        let Some(entries) = bytes.strip_prefix(place.head().as_slice()) else {
            return LeftBehind::default();
        };
        let entries = entries.as_chunks::<ENTRY_LEN>().0.iter().take(ENTRIES_MAX);
        LeftBehind(entries.filter_map(read_entry).collect())
    }

    /// When this router was last master, if it was when the predecessor ended.
    pub fn last_advert(&self, beat: &Beat) -> Option<Time> {
        self.0.get(&key(beat)).copied()
    }
}

fn read_entry(entry: &[u8; ENTRY_LEN]) -> Option<(MasterKey, Time)> {
    let interface = u32::from_le_bytes(entry.first_chunk().copied()?);
    let mac = entry.get(4..10)?.first_chunk().copied()?;
    let (vrid, ipv6) = (*entry.get(10)?, *entry.get(11)? != 0);
    let at = u64::from_le_bytes(entry.last_chunk().copied()?);
    let key = (interface, MacAddr(mac), vrid, ipv6);
    (at != 0).then_some((key, Time::from_nanos(at)))
}

#[derive(Deserialize)]
struct IpvsFile {
    place: Place,
    services: Vec<ServiceEntry>,
    sync_daemons: Vec<SyncEntry>,
    #[serde(default)]
    draining: Vec<DrainingEntry>,
}

/// The same while it is written: of a large table no list of lines is made first.
#[derive(Serialize)]
struct IpvsLines<'a> {
    place: &'a Place,
    #[serde(serialize_with = "services")]
    services: &'a Owned,
    sync_daemons: Vec<SyncEntry>,
    draining: Vec<DrainingEntry>,
}

fn services<S: Serializer>(owned: &&Owned, serializer: S) -> Result<S::Ok, S::Error> {
    let services = owned.services.iter();
    serializer.collect_seq(services.map(|(key, destinations)| ServiceEntry {
        key: ServiceLine::of(key),
        destinations: destinations.keys().map(|d| (d.0.addr, d.0.port)).collect(),
    }))
}

#[derive(Serialize, Deserialize)]
struct DrainingEntry {
    service: ServiceLine,
    destination: (IpAddr, u16),
    /// Nanoseconds since boot.
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct ServiceEntry {
    key: ServiceLine,
    destinations: Vec<(IpAddr, u16)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ServiceLine {
    Endpoint {
        protocol: u8,
        address: IpAddr,
        port: u16,
    },
    Fwmark {
        ipv6: bool,
        mark: u32,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SyncEntry {
    Master,
    Backup,
}

impl ServiceLine {
    fn of(key: &ServiceKey) -> ServiceLine {
        match key {
            ServiceKey::Endpoint { protocol, endpoint } => ServiceLine::Endpoint {
                protocol: protocol.number(),
                address: endpoint.addr,
                port: endpoint.port,
            },
            ServiceKey::FwMark { family, mark } => ServiceLine::Fwmark {
                ipv6: *family == Family::V6,
                mark: mark.get(),
            },
        }
    }

    fn key(&self) -> Option<ServiceKey> {
        Some(match *self {
            ServiceLine::Endpoint {
                protocol,
                address,
                port,
            } => ServiceKey::Endpoint {
                protocol: Protocol::from_number(protocol)?,
                endpoint: Endpoint::new(address, port),
            },
            ServiceLine::Fwmark { ipv6, mark } => ServiceKey::FwMark {
                family: if ipv6 { Family::V6 } else { Family::V4 },
                mark: FwMark::new(mark)?,
            },
        })
    }
}

/// Writes which services, destinations and sync daemons are ours.
///
/// # Errors
/// What the file system says.
pub fn write_ipvs(path: &Path, place: &Place, owned: &Owned) -> io::Result<()> {
    let daemons = owned.daemons.iter().map(|role| match role {
        SyncRole::Master => SyncEntry::Master,
        SyncRole::Backup => SyncEntry::Backup,
    });
    let draining = owned.draining.iter();
    let draining = draining.map(|((service, DestinationKey(at)), until)| DrainingEntry {
        service: ServiceLine::of(service),
        destination: (at.addr, at.port),
        until: until.as_nanos(),
    });
    let lines = IpvsLines {
        place,
        services: owned,
        sync_daemons: daemons.collect(),
        draining: draining.collect(),
    };
    write_whole_by(path, |file| {
        serde_json::to_writer(file, &lines).map_err(io::Error::other)
    })
}

/// What a predecessor on this boot and in this namespace called its own.
pub fn read_ipvs(path: &Path, place: &Place) -> Owned {
    let Ok(text) = fs::read(path) else {
        return Owned::default();
    };
    let Ok(file) = serde_json::from_slice::<IpvsFile>(&text) else {
        return Owned::default();
    };
    if file.place != *place {
        return Owned::default();
    }
    let services = file.services.into_iter().filter_map(|entry| {
        let key = entry.key.key()?;
        let destinations = entry.destinations.into_iter();
        let destinations = destinations.map(|(a, p)| DestinationKey(Endpoint::new(a, p)));
        Some((key, destinations.collect()))
    });
    let daemons = file.sync_daemons.into_iter().map(|role| match role {
        SyncEntry::Master => SyncRole::Master,
        SyncEntry::Backup => SyncRole::Backup,
    });
    let draining = file.draining.into_iter().filter_map(|entry| {
        let (addr, port) = entry.destination;
        let destination = DestinationKey(Endpoint::new(addr, port));
        let until = Time::from_nanos(entry.until);
        Some(((entry.service.key()?, destination), until))
    });
    Owned {
        services: services.collect(),
        daemons: daemons.collect(),
        draining: draining.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::Sorted;

    fn place() -> Place {
        Place {
            boot_id: "2c3c4e0a-0f0f-4d4d-9c9c-0123456789ab".into(),
            namespace: 4_026_531_840,
        }
    }

    fn beat(vrid: u8) -> Beat {
        Beat {
            interface: InterfaceIndex::new(7),
            mac: MacAddr([2, 0, 0, 0, 0, 9]),
            vrid,
            family: Family::V4,
            alive: true,
        }
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("vipd-record-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_successor_reads_when_each_router_was_last_master() {
        let path = scratch("masters");
        let mut masters = Masters::create(&path, &place(), &LeftBehind::default()).unwrap();
        masters.note(&beat(51), Time::from_millis(1000)).unwrap();
        masters.note(&beat(52), Time::from_millis(1100)).unwrap();
        masters.note(&beat(51), Time::from_millis(2000)).unwrap();
        masters
            .note(&beat(52).ended(), Time::from_millis(2100))
            .unwrap();
        let left = LeftBehind::read(&path, &place());
        assert_eq!(left.last_advert(&beat(51)), Some(Time::from_millis(2000)));
        assert_eq!(left.last_advert(&beat(52)), None, "it had said goodbye");
        let replaced = Beat {
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            ..beat(51)
        };
        assert_eq!(
            left.last_advert(&replaced),
            None,
            "another link under the same number"
        );
        // That one is killed before its first advert; the next one still knows.
        let mut masters = Masters::create(&path, &place(), &left).unwrap();
        let left = LeftBehind::read(&path, &place());
        assert_eq!(left.last_advert(&beat(51)), Some(Time::from_millis(2000)));
        masters.note(&beat(52), Time::from_millis(3000)).unwrap();
        masters.note(&beat(51).ended(), Time::ZERO).unwrap();
        let left = LeftBehind::read(&path, &place());
        assert_eq!(left.last_advert(&beat(52)), Some(Time::from_millis(3000)));
        assert_eq!(left.last_advert(&beat(51)), None);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn records_of_another_boot_or_namespace_or_of_nobody_say_nothing() {
        let path = scratch("elsewhere");
        let mut masters = Masters::create(&path, &place(), &LeftBehind::default()).unwrap();
        masters.note(&beat(51), Time::from_millis(1000)).unwrap();
        let elsewhere = Place {
            namespace: 1,
            ..place()
        };
        assert_eq!(
            LeftBehind::read(&path, &elsewhere).last_advert(&beat(51)),
            None
        );
        fs::write(&path, b"\xff\xfe rubbish").unwrap();
        assert_eq!(
            LeftBehind::read(&path, &place()).last_advert(&beat(51)),
            None
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(
            LeftBehind::read(&path, &place()).last_advert(&beat(51)),
            None
        );
    }

    #[test]
    fn ipvs_keys_read_back_as_they_were_written() {
        let path = scratch("ipvs");
        let udp = ServiceKey::Endpoint {
            protocol: Protocol::Udp,
            endpoint: Endpoint::new("2001:db8::1".parse().unwrap(), 53),
        };
        let mark = ServiceKey::FwMark {
            family: Family::V6,
            mark: FwMark::new(3).unwrap(),
        };
        let server = DestinationKey(Endpoint::new("2001:db8::2".parse().unwrap(), 53));
        let keys = Owned {
            services: [
                (udp, [server].into_iter().collect()),
                (mark, Sorted::default()),
            ]
            .into(),
            daemons: [SyncRole::Backup].into(),
            draining: [((udp, server), Time::from_millis(77))].into(),
        };
        write_ipvs(&path, &place(), &keys).unwrap();
        assert_eq!(read_ipvs(&path, &place()), keys);
        let elsewhere = Place {
            boot_id: "other".into(),
            ..place()
        };
        assert_eq!(read_ipvs(&path, &elsewhere), Owned::default());
        fs::remove_file(&path).unwrap();
    }
}
