//! The system calls that std and socket2 lack, each behind a safe function; nothing else here.

#![allow(unsafe_code, reason = "the one place of the lab that calls libc")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

fn check(ret: libc::c_int) -> io::Result<libc::c_int> {
    if ret < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

fn c(text: impl AsRef<[u8]>) -> io::Result<CString> {
    CString::new(text.as_ref()).map_err(|_| io::Error::other("a NUL byte in a path"))
}

/// How [`mount`] mounts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MountKind<'a> {
    /// A file system of this type with these options.
    Fs(&'a str, &'a str),
    /// The same tree at a second place.
    Bind,
}

/// mount(2).
pub(crate) fn mount(source: &str, target: &Path, kind: MountKind<'_>) -> io::Result<()> {
    let (fstype, data, flags) = match kind {
        MountKind::Fs(fstype, data) => (fstype, data, 0),
        MountKind::Bind => ("none", "", libc::MS_BIND),
    };
    let (source, path, fstype, data) = (
        c(source)?,
        c(target.as_os_str().as_bytes())?,
        c(fstype)?,
        c(data)?,
    );
    // SAFETY: all four pointers are NUL-terminated strings that live until the call returns.
    let ret = unsafe {
        libc::mount(
            source.as_ptr(),
            path.as_ptr(),
            fstype.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    check(ret)
        .map(drop)
        .map_err(|e| io::Error::other(format!("mount {}: {e}", target.display())))
}

/// umount2(2) with MNT_DETACH.
pub(crate) fn unmount(target: &Path) -> io::Result<()> {
    let target = c(target.as_os_str().as_bytes())?;
    // SAFETY: the pointer is a NUL-terminated string that lives until the call returns.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Gives the calling thread a new network namespace and returns it.
pub(crate) fn new_net_namespace() -> io::Result<File> {
    // SAFETY: no memory is involved; only this thread's namespace changes.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
    File::open("/proc/thread-self/ns/net")
}

/// Moves the calling thread into the network namespace `ns`.
pub(crate) fn enter_net_namespace(ns: impl AsFd) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed.
    check(unsafe { libc::setns(ns.as_fd().as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// kill(2) of one process, or of the group `-pid`.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Waits for any child; its pid. For init, which inherits every orphan.
pub(crate) fn reap_one() -> io::Result<(i32, i32)> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for the result.
    let pid = check(unsafe { libc::waitpid(-1, &raw mut status, 0) })?;
    Ok((pid, status))
}

/// Orphans below this process become its children (PR_SET_CHILD_SUBREAPER).
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }).map(drop)
}

/// Ends the guest at once.
pub(crate) fn power_off() -> io::Error {
    // SAFETY: no memory is involved; does not return in a guest's init.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    io::Error::last_os_error()
}

/// Makes `command` lead a session of its own, stay on one CPU (another for each `lane`, the last
/// first; none: on any), and die with the calling thread.
pub(crate) fn isolate(command: &mut Command, lane: Option<usize>) {
    let cpus = allowed_cpus();
    let cpu = lane.and_then(|lane| cpus.iter().rev().cycle().nth(lane).copied());
    // SAFETY: setsid, prctl and sched_setaffinity are async-signal-safe; nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            check(libc::setsid())?;
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            if let Some(cpu) = cpu {
                let mut set: libc::cpu_set_t = zeroed();
                libc::CPU_SET(cpu, &mut set);
                check(libc::sched_setaffinity(
                    0,
                    size_of::<libc::cpu_set_t>(),
                    &raw const set,
                ))?;
            }
            Ok(())
        });
    }
}

/// The calling thread stays on this CPU.
pub(crate) fn run_on(cpu: usize) -> io::Result<()> {
    // SAFETY: cpu_set_t is plain bits, for which zero is valid; CPU_SET checks its bounds; 0 is the calling
    // thread.
    check(unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    })
    .map(drop)
}

/// CPUs that the calling thread may run on.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: cpu_set_t is plain bits, for which zero is valid.
    let mut set: libc::cpu_set_t = unsafe { zeroed() };
    // SAFETY: the size is that of the set the pointer leads to.
    let ret = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    let bits = usize::try_from(libc::CPU_SETSIZE).unwrap_or_default();
    if ret < 0 {
        return Vec::new();
    }
    // SAFETY: every index is below CPU_SETSIZE.
    (0..bits)
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
        .collect()
}

/// Process groups of the guests; the latest ones, should a run need more than this.
static GUEST_GROUPS: [AtomicI32; 16] = [const { AtomicI32::new(0) }; 16];

extern "C" fn kill_guest_and_leave(signal: libc::c_int) {
    for group in GUEST_GROUPS
        .iter()
        .map(|group| group.load(Ordering::SeqCst))
    {
        if group > 0 {
            // SAFETY: kill is async-signal-safe.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(128 + signal) };
}

/// From now on SIGINT and SIGTERM kill the process group `pid`, the `number`th, before they end
/// this process.
pub(crate) fn die_with(number: usize, pid: i32) {
    if let Some(place) = GUEST_GROUPS.get(number % GUEST_GROUPS.len()) {
        place.store(pid, Ordering::SeqCst);
    }
    let handler = kill_guest_and_leave as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does only async-signal-safe things.
    unsafe {
        libc::signal(libc::SIGINT, handler);
        libc::signal(libc::SIGTERM, handler);
    }
}

/// The calling thread runs before all others that have no real-time priority (SCHED_FIFO).
pub(crate) fn run_first(priority: i32) -> io::Result<()> {
    let how = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the pointer leads to a sched_param; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const how) }).map(drop)
}

/// Free bytes of the file system at `path`, if programs may be mapped from it.
pub(crate) fn free_executable_space(path: &Path) -> io::Result<Option<u64>> {
    let path = c(path.as_os_str().as_bytes())?;
    // SAFETY: statvfs is plain numbers, for which zero is valid.
    let mut stat: libc::statvfs = unsafe { zeroed() };
    // SAFETY: both pointers are valid until the call returns.
    check(unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) })?;
    Ok((stat.f_flag & libc::ST_NOEXEC == 0).then_some(stat.f_bavail * stat.f_frsize))
}

/// A packet socket that sees every frame of the interface `index` of the calling thread's
/// namespace, both ways, with the kernel's time of each.
pub(crate) fn packet_socket(index: u32) -> io::Result<OwnedFd> {
    let all = libc::ETH_P_ALL.cast_unsigned();
    let proto = u16::try_from(all).map_err(io::Error::other)?.to_be();
    // SAFETY: no memory is involved; the descriptor is new and ours.
    let fd = unsafe {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        let fd = check(libc::socket(libc::AF_PACKET, kind, i32::from(proto)))?;
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: sockaddr_ll is plain numbers, for which zero is valid.
    let mut addr: libc::sockaddr_ll = unsafe { zeroed() };
    addr.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    addr.sll_protocol = proto;
    addr.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let len =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
    // SAFETY: the pointer leads to a sockaddr_ll of the given length.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len) })?;
    set_int(&fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    // The reader shares one CPU with everything it watches, and dumps of tables are large.
    set_int(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, 64 << 20)?;
    Ok(fd)
}

/// How many frames a [`packet_socket`] had no room for since it was last asked.
pub(crate) fn dropped_frames(fd: &OwnedFd) -> io::Result<u32> {
    // SAFETY: tpacket_stats is plain numbers, for which zero is valid.
    let mut stats: libc::tpacket_stats = unsafe { zeroed() };
    let mut len = libc::socklen_t::try_from(size_of_val(&stats)).map_err(io::Error::other)?;
    // SAFETY: the pointers lead to a tpacket_stats and its length.
    let ret = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        )
    };
    check(ret).map(|_| stats.tp_drops)
}

fn set_int(fd: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of::<i32>()).map_err(io::Error::other)?;
    // SAFETY: the pointer leads to an int of the given length.
    let ret =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    check(ret).map(drop)
}

/// Waits up to `limit` until `fd` can be read.
pub(crate) fn readable(fd: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer leads to one pollfd.
    check(unsafe { libc::poll(&raw mut poll, 1, ms) }).map(|n| n > 0)
}

/// What [`receive_frame`] says about the frame in its buffer.
pub(crate) struct Received {
    /// Bytes of it in the buffer.
    pub(crate) len: usize,
    /// The kernel's time of it, since the epoch.
    pub(crate) at: Duration,
    /// EtherType; on an interface of type nlmon, the netlink protocol.
    pub(crate) protocol: u16,
}

/// One frame from a [`packet_socket`].
pub(crate) fn receive_frame(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = [0_u64; 16];
    // SAFETY: both are plain numbers and pointers, for which zero is valid.
    let (mut msg, mut from): (libc::msghdr, libc::sockaddr_ll) = unsafe { zeroed() };
    msg.msg_name = (&raw mut from).cast();
    msg.msg_namelen = libc::socklen_t::try_from(size_of_val(&from)).map_err(io::Error::other)?;
    msg.msg_iov = &raw mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = size_of_val(&control);
    // SAFETY: every pointer in `msg` leads to memory of the given length that lives here.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut msg, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: `msg` was filled in by the kernel, and `control` is aligned for a cmsghdr.
    let stamp = unsafe {
        let cmsg = libc::CMSG_FIRSTHDR(&raw const msg);
        if cmsg.is_null() || (*cmsg).cmsg_type != libc::SCM_TIMESTAMPNS {
            return Err(io::Error::other("a frame without a time"));
        }
        libc::CMSG_DATA(cmsg)
            .cast::<libc::timespec>()
            .read_unaligned()
    };
    let secs = u64::try_from(stamp.tv_sec).map_err(io::Error::other)?;
    let nanos = u32::try_from(stamp.tv_nsec).map_err(io::Error::other)?;
    Ok(Received {
        len,
        at: Duration::new(secs, nanos),
        protocol: u16::from_be(from.sll_protocol),
    })
}

/// Index of the interface `name` in the calling thread's namespace.
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = c(name)?;
    // SAFETY: the pointer is a NUL-terminated string that lives until the call returns.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(index)
    }
}

/// epoll(7), for a loop that is as bare as can be.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: takes no pointers.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the call has just made it, and nobody else knows it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Tells this number when the socket may be written to, until it is closed.
    pub(crate) fn watch_writable(&self, socket: &impl AsRawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: libc::EPOLLOUT.cast_unsigned(),
            u64: number,
        };
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: the event lives through the call, which copies it.
        let ret = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        check(ret).map(drop)
    }

    /// Waits for the first; the numbers of those that are ready.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<Vec<u64>> {
        const EVENTS: usize = 64;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        // Up, so that it does not turn around before its time has come.
        let limit = i32::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let room = i32::try_from(EVENTS).unwrap_or_default();
        // SAFETY: there is room for as many events as are asked for.
        let found =
            unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, limit) };
        let found = usize::try_from(check(found)?).unwrap_or_default();
        Ok(events.iter().take(found).map(|event| event.u64).collect())
    }
}
