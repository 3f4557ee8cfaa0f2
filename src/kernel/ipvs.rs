//! The IPVS of one network namespace: read it, change it.
//!
//! Messages are those of [`crate::ipvs`]; what should be there is decided elsewhere.

mod module;

use std::collections::BTreeMap;
use std::fmt;

use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{GenlId, NlmF};
use neli::consts::socket::NlFamily;
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder};
use neli::types::GenlBuffer;

use crate::ipvs::{
    self, Attributes, Command, DecodeError, Destination, DestinationKey, DestinationSpec,
    DestinationStats, Destinations, Info, Message, ObservedService, Query, Service, ServiceKey,
    ServiceStats, SyncDaemon, SyncRole, Table, Timeouts,
};

use super::namespace::NamespaceError;
use super::netlink::{Error, Failure, Request, Socket};

/// Why IPVS cannot be used. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The kernel knows no IPVS, and its module cannot be loaded.
    NoIpvs {
        /// What `modprobe` said.
        why: String,
    },
    /// EPERM.
    NotPermitted,
    /// `net_namespace_ipvs` cannot be entered.
    Namespace(NamespaceError),
    /// Anything else.
    Netlink(Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoIpvs { why } => write!(
                f,
                "the kernel has no IPVS: module ip_vs cannot be loaded ({why}); use a kernel built \
                 with CONFIG_IP_VS, and in a container run `modprobe ip_vs` on the host"
            ),
            OpenError::NotPermitted => f.write_str(
                "use IPVS: operation not permitted (EPERM); run as root or with CAP_NET_ADMIN",
            ),
            OpenError::Namespace(error) => error.fmt(f),
            OpenError::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<NamespaceError> for OpenError {
    fn from(error: NamespaceError) -> OpenError {
        OpenError::Namespace(error)
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> OpenError {
        match error.errno() {
            Some(errno) if errno.0 == libc::EPERM => OpenError::NotPermitted,
            _ => OpenError::Netlink(error),
        }
    }
}

/// What IPVS shows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Services with their destinations.
    pub table: Table,
    /// Counters of the services.
    pub services: BTreeMap<ServiceKey, ServiceStats>,
    /// Counters of the destinations.
    pub destinations: BTreeMap<(ServiceKey, DestinationKey), DestinationStats>,
    /// One for each object that this version cannot read (set by somebody else, to be left alone).
    pub unread: Vec<DecodeError>,
}

/// IPVS of the network namespace that the thread was in when it was opened.
pub struct Ipvs {
    socket: Socket,
    family: u16,
    info: Info,
}

impl Ipvs {
    /// Opens it, loading the module `ip_vs` when the kernel has none: a child process, for at most
    /// 10 s.
    ///
    /// # Errors
    /// No IPVS in this kernel, no CAP_NET_ADMIN.
    pub fn open() -> Result<Ipvs, OpenError> {
        let mut socket = Socket::open(NlFamily::Generic).map_err(|e| OpenError::from_io(&e))?;
        let family = resolve_or_load(&mut socket)?;
        let info = info(&mut socket, family)?;
        Ok(Ipvs {
            socket,
            family,
            info,
        })
    }

    /// Version and size of the connection table.
    pub const fn info(&self) -> Info {
        self.info
    }

    /// Everything: the services, then the destinations of each, one dump after the other.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn snapshot(&mut self) -> Result<Snapshot, Error> {
        self.snapshot_counting(|_| true)
    }

    /// The same, with the counters of those destinations alone that `counts` names: those of tens of thousands
    /// take more memory than all else.
    ///
    /// # Errors
    /// As [`Ipvs::snapshot`].
    pub fn snapshot_counting(
        &mut self,
        counts: impl Fn(&DestinationSpec) -> bool,
    ) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot::default();
        for service in self.list_services()? {
            let service = match service {
                Ok(service) => service,
                Err(error) => {
                    snapshot.unread.push(error);
                    continue;
                }
            };
            let mut destinations = Destinations::default();
            for destination in self.list_destinations(service.key)? {
                match destination {
                    Ok(Destination { key, spec, stats }) => {
                        destinations.insert(key, spec);
                        if counts(&spec) {
                            snapshot.destinations.insert((service.key, key), stats);
                        }
                    }
                    Err(error) => snapshot.unread.push(error),
                }
            }
            snapshot.services.insert(service.key, service.stats);
            let (spec, destinations) = (service.spec, destinations.settled());
            snapshot
                .table
                .insert(service.key, Service { spec, destinations });
        }
        Ok(snapshot)
    }

    /// [`Ipvs::snapshot`] without counters.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn table(&mut self) -> Result<Table, Error> {
        self.snapshot_counting(|_| false)
            .map(|snapshot| snapshot.table)
    }

    /// The services alone, with their counters: one dump. Those that cannot be read are left out.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn services(&mut self) -> Result<Vec<ObservedService>, Error> {
        Ok(self.list_services()?.into_iter().flatten().collect())
    }

    /// The destinations of one service, with their counters; none when there is no such service.
    /// Those that cannot be read are left out.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn destinations(&mut self, service: ServiceKey) -> Result<Vec<Destination>, Error> {
        let list = self.list_destinations(service)?;
        Ok(list.into_iter().flatten().collect())
    }

    /// The sync daemons that run, at most one in each role.
    ///
    /// # Errors
    /// The kernel refuses, does not answer, or tells of a daemon that cannot be read.
    pub fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, Error> {
        let daemons = self.list(Query::Daemons, ipvs::decode_daemon)?;
        let daemons: Result<BTreeMap<_, _>, DecodeError> = daemons.into_iter().collect();
        daemons.map_err(|e| Error::Message {
            action: Query::Daemons.to_string(),
            why: e.to_string(),
        })
    }

    /// How long idle connections are remembered.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub fn timeouts(&mut self) -> Result<Timeouts, Error> {
        let query = Query::Timeouts;
        let family = self.family;
        let request = request(family, message(query)?);
        let answers = self.socket.ask(&query, request, |kind, payload| {
            (kind == family).then(|| ipvs::decode_timeouts(payload))
        })?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Carries all commands out in their order, each whatever happens to the others; the result has
    /// those that failed, in order.
    pub fn apply(&mut self, commands: &[Command]) -> Vec<Failure> {
        let family = self.family;
        self.socket.batch(commands, |command| {
            ipvs::encode(command).map(|message| request(family, message))
        })
    }

    fn list_services(&mut self) -> Result<Vec<Result<ObservedService, DecodeError>>, Error> {
        match self.list(Query::Services, ipvs::decode_service) {
            // The family is gone: the module was unloaded, and may be back under another number.
            Err(Error::Refused { errno, .. }) if errno.0 == libc::ENOENT => {
                self.family = resolve_or_load(&mut self.socket).map_err(|e| Error::Message {
                    action: Query::Services.to_string(),
                    why: e.to_string(),
                })?;
                self.list(Query::Services, ipvs::decode_service)
            }
            result => result,
        }
    }

    fn list_destinations(
        &mut self,
        service: ServiceKey,
    ) -> Result<Vec<Result<Destination, DecodeError>>, Error> {
        self.list(Query::Destinations(service), |payload| {
            ipvs::decode_destination(payload, service.family())
        })
    }

    fn list<T>(
        &mut self,
        query: Query,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Vec<Result<T, DecodeError>>, Error> {
        let family = self.family;
        let request = request(family, message(query)?);
        self.socket.dump(&query, &request, |kind, payload| {
            (kind == family).then(|| decode(payload))
        })
    }
}

impl OpenError {
    fn from_io(error: &std::io::Error) -> OpenError {
        let action = "open a generic netlink socket".to_owned();
        OpenError::from(match crate::errno::Errno::of(error) {
            Some(errno) => Error::Socket { action, errno },
            None => Error::NoAnswer { action },
        })
    }
}

fn request(family: u16, payload: Message) -> Request<Message> {
    Request {
        kind: family,
        flags: NlmF::empty(),
        payload,
    }
}

fn message(query: Query) -> Result<Message, Error> {
    ipvs::ask(query).map_err(|e| Error::Message {
        action: query.to_string(),
        why: e.to_string(),
    })
}

fn info(socket: &mut Socket, family: u16) -> Result<Info, Error> {
    let request = request(family, message(Query::Info)?);
    let answers = socket.ask(&Query::Info, request, |kind, payload| {
        (kind == family).then(|| ipvs::decode_info(payload))
    })?;
    let why = match answers.into_iter().next() {
        Some(Ok(info)) => return Ok(info),
        Some(Err(error)) => error.to_string(),
        None => "the answer is empty".to_owned(),
    };
    let action = Query::Info.to_string();
    Err(Error::Message { action, why })
}

fn resolve_or_load(socket: &mut Socket) -> Result<u16, OpenError> {
    if let Some(family) = resolve(socket)? {
        return Ok(family);
    }
    module::load("ip_vs").map_err(|why| OpenError::NoIpvs { why })?;
    let why = || "modprobe found nothing wrong, and still there is no IPVS".to_owned();
    resolve(socket)?.ok_or_else(|| OpenError::NoIpvs { why: why() })
}

/// Number of the generic netlink family; `None` when the kernel has none of that name.
fn resolve(socket: &mut Socket) -> Result<Option<u16>, Error> {
    let action = "look for IPVS in the kernel";
    let unwritten = |why: String| Error::Message {
        action: action.to_owned(),
        why,
    };
    let payload = family_question().map_err(unwritten)?;
    let request = Request {
        kind: GenlId::Ctrl.into(),
        flags: NlmF::empty(),
        payload,
    };
    let answers = socket.ask(&action, request, |kind, payload| {
        let attributes = payload
            .get(4..)
            .filter(|_| kind == u16::from(GenlId::Ctrl))?;
        Attributes::new(attributes)
            .find(|a| CtrlAttr::from(a.kind) == CtrlAttr::FamilyId)
            .and_then(|a| a.u16())
    });
    match answers {
        Ok(ids) => Ok(ids.into_iter().next()),
        Err(Error::Refused { errno, .. }) if errno.0 == libc::ENOENT => Ok(None),
        Err(error) => Err(error),
    }
}

fn family_question() -> Result<Genlmsghdr<CtrlCmd, CtrlAttr>, String> {
    let kind = AttrTypeBuilder::default()
        .nla_type(CtrlAttr::FamilyName)
        .build()
        .map_err(|e| e.to_string())?;
    let name = NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(ipvs::FAMILY)
        .build()
        .map_err(|e| e.to_string())?;
    GenlmsghdrBuilder::default()
        .cmd(CtrlCmd::Getfamily)
        .version(1)
        .attrs([name].into_iter().collect::<GenlBuffer<_, _>>())
        .build()
        .map_err(|e| e.to_string())
}
