//! Forking the helper, running programs as somebody else, killing process groups, looking users up.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::config::model::Capabilities;

/// Who a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
}

/// Which of the two processes this is after a fork.
pub(crate) enum Fork {
    /// The one that forked; the number is the other's.
    Parent(u32),
    /// The new one.
    Child,
}

/// fork(2), while this process has one thread. The child may go on as if nothing had happened.
///
/// # Errors
/// When there are other threads, or /proc is not mounted so that it cannot be told; what fork says.
pub(crate) fn fork_single_threaded() -> io::Result<Fork> {
    let tasks = std::fs::read_dir("/proc/self/task")
        .map_err(|error| io::Error::new(error.kind(), format!("read /proc/self/task: {error}")))?;
    let threads = tasks.take(2).count();
    if threads != 1 {
        return Err(io::Error::other(
            "this process has other threads, it cannot be forked any more",
        ));
    }
    // SAFETY: no other thread exists (and none can come into being but by this one), so the child's
    // copy of the memory is whole: no lock is held by a thread that the child does not have.
    let pid = unsafe { libc::fork() };
    match u32::try_from(pid) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(0) => Ok(Fork::Child),
        Ok(pid) => Ok(Fork::Parent(pid)),
    }
}

/// Ends a forked child at once: no destructor, no buffer of the parent's is written a second time.
pub(crate) fn exit_child(status: u8) -> ! {
    // SAFETY: takes no pointers and does not return.
    unsafe { libc::_exit(i32::from(status)) }
}

/// setsid(2): a session of our own, so that the terminal's signals do not reach us.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: takes no pointers.
    match unsafe { libc::setsid() } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes standard input, output and error /dev/null.
pub(crate) fn standard_to_null() -> io::Result<()> {
    let null = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in 0..=2 {
        // SAFETY: takes no pointers; what stood at the number is replaced in one step, and std opens
        // nothing at these numbers that it would close.
        if unsafe { libc::dup2(null.as_raw_fd(), standard) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if null.as_raw_fd() <= 2 {
        // It is one of the three itself and has to stay open.
        std::mem::forget(null);
    }
    Ok(())
}

/// Makes standard input, output and error /dev/null and closes every other descriptor but `keep`.
///
/// To be called in a forked child alone, whose copies of the parent's files and sockets are never used
/// or dropped after it.
pub(crate) fn keep_only(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    standard_to_null()?;
    let mut keep: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd().cast_unsigned())
        .collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

/// close_range(2); descriptor by descriptor on kernels before 5.9.
fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes no pointers. Whoever owned the descriptors is not there any more: see keep_only.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    for entry in std::fs::read_dir("/proc/self/fd")?.collect::<Vec<_>>() {
        let name = entry?.file_name();
        let number: Option<u32> = name.to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| (first..=last).contains(number)) {
            // SAFETY: as above. The directory itself was closed by the end of collect.
            unsafe { libc::close(number.cast_signed()) };
        }
    }
    Ok(())
}

/// Blocks every signal that can be blocked, for this thread. What [`run_as`] has prepared begins with
/// none blocked.
pub(crate) fn block_signals() -> io::Result<()> {
    set_mask(libc::sigfillset)
}

/// Sets this thread's signal mask to what `fill` makes of a set: everything or nothing.
fn set_mask(fill: unsafe extern "C" fn(*mut libc::sigset_t) -> libc::c_int) -> io::Result<()> {
    // SAFETY: `fill` initialises the whole set, which is all zeros before (a valid sigset_t), and the
    // other call only reads it; no old mask is asked for.
    let errno = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        fill(&raw mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())
    };
    match errno {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// What [`mask`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    Block,
    Unblock,
}

/// Blocks or unblocks these signals, for this thread and those that it starts.
pub(crate) fn mask(mask: Mask, signals: &[libc::c_int]) -> io::Result<()> {
    let how = match mask {
        Mask::Block => libc::SIG_BLOCK,
        Mask::Unblock => libc::SIG_UNBLOCK,
    };
    // SAFETY: the set is all zeros (a valid sigset_t) and then filled by calls that write nothing else;
    // the last one only reads it, and no old mask is asked for.
    let errno = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut())
    };
    match errno {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Has the kernel forget ended children: nobody asks for their status (signal(7)).
pub(crate) fn forget_children() -> io::Result<()> {
    // SAFETY: takes no pointers; SIG_IGN runs no code of ours.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Has the kernel keep the status of ended children, whatever whoever started us asked for: an ignored
/// SIGCHLD is inherited and throws it away (signal(7)).
pub(crate) fn keep_children() -> io::Result<()> {
    // SAFETY: takes no pointers; SIG_DFL runs no code of ours.
    match unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// PR_SET_NAME (prctl(2)): what ps and top call this thread; at most 15 bytes count.
pub(crate) fn set_name(name: &CStr) {
    // SAFETY: the kernel reads at most 16 bytes of a string that ends with a zero and lives through
    // the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// pidfd_open(2), Linux 5.3: readable when the process has ended. For a child that has not been waited
/// for, so that the number is still its own.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor (closed on exec), nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// How a process group is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KillSignal {
    /// It may tidy up.
    Term,
    /// At once.
    Kill,
}

/// kill(2) for a whole process group, by its leader's number. The leader has not been waited for, so
/// the number is still its own. A group that is gone is no error.
pub(crate) fn kill_group(leader: u32, signal: KillSignal) {
    let signal = match signal {
        KillSignal::Term => libc::SIGTERM,
        KillSignal::Kill => libc::SIGKILL,
    };
    // 0 and 1 would mean our own group and everybody.
    if let Some(group) = i32::try_from(leader).ok().filter(|group| *group > 1) {
        // SAFETY: takes no pointers.
        unsafe { libc::kill(-group, signal) };
    }
}

/// What becomes of a program when the process that started it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnParentDeath {
    /// It is killed too.
    Kill,
    /// It goes on.
    Nothing,
}

/// Has `command` run as `identity` (`None`: as we are) with no signal blocked, and as root with no more
/// than `caps`.
pub(crate) fn run_as(
    command: &mut Command,
    identity: Option<Identity>,
    caps: Capabilities,
    on_parent_death: OnParentDeath,
) {
    let is_root = identity
        .as_ref()
        .map_or_else(effective_uid, |identity| identity.uid)
        == 0;
    let caps = Some(caps).filter(|caps| is_root && *caps != Capabilities::ALL);
    let become_identity = move || {
        if let Some(identity) = &identity {
            // SAFETY: the pointer and the length are those of one vector that lives through the call.
            check(unsafe { libc::setgroups(identity.groups.len(), identity.groups.as_ptr()) })?;
            // SAFETY: takes no pointers.
            check(unsafe { libc::setgid(identity.gid) })?;
            // SAFETY: takes no pointers.
            check(unsafe { libc::setuid(identity.uid) })?;
        }
        if let Some(caps) = caps {
            limit(caps)?;
        }
        // After the change of user, which would have cleared it.
        if on_parent_death == OnParentDeath::Kill {
            // SAFETY: takes no pointers.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        }
        // std hands our mask on, in which everything is blocked.
        set_mask(libc::sigemptyset)
    };
    // SAFETY: between fork and exec the closure makes system calls and nothing else: no allocation, no
    // lock. setgroups, setgid and setuid of the C library also tell the other threads, of which the
    // child has none.
    unsafe { command.pre_exec(become_identity) };
}

/// Takes everything but `caps` out of what a program of root's gets: the bounding and the ambient set
/// (capabilities(7)). What is inherited beyond those counts for nothing: vipd inherits nothing.
fn limit(caps: Capabilities) -> io::Result<()> {
    // SAFETY: takes no pointers.
    unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    };
    for number in 0..u64::BITS {
        // SAFETY: takes no pointers. Beyond the last one that the kernel knows it is an error.
        let held = unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(number)) } == 1;
        if held && caps.bits() >> number & 1 == 0 {
            // SAFETY: takes no pointers.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number)) })?;
        }
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Our own effective user.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::geteuid() }
}

/// Our own effective group.
pub(crate) fn effective_gid() -> u32 {
    // SAFETY: takes no pointers and cannot fail.
    unsafe { libc::getegid() }
}

/// A user in the machine's data base (passwd(5), or what nsswitch.conf(5) names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// getpwnam_r(3); `None` when there is no such user.
pub(crate) fn user_by_name(name: &CStr) -> io::Result<Option<User>> {
    // SAFETY: lookup passes pointers to an entry, a buffer of the length that it states, and a place for
    // the result, which all live through the call; `name` ends with a zero.
    lookup(|entry, buffer, len, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), entry, buffer, len, found)
    })
    .map(|entry| entry.map(user_of))
}

/// getpwuid_r(3); `None` when no user has the number.
pub(crate) fn user_by_uid(uid: u32) -> io::Result<Option<(User, CString)>> {
    lookup_then(
        // SAFETY: as in user_by_name.
        |entry, buffer, len, found| unsafe { libc::getpwuid_r(uid, entry, buffer, len, found) },
        |entry: libc::passwd| {
            // SAFETY: on success pw_name points to a string in the buffer, which is still alive here.
            let name = unsafe { CStr::from_ptr(entry.pw_name) }.to_owned();
            (user_of(entry), name)
        },
    )
}

fn user_of(entry: libc::passwd) -> User {
    User {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    }
}

/// getgrnam_r(3); `None` when there is no such group.
pub(crate) fn group_by_name(name: &CStr) -> io::Result<Option<u32>> {
    // SAFETY: as in user_by_name.
    lookup(|entry: *mut libc::group, buffer, len, found| unsafe {
        libc::getgrnam_r(name.as_ptr(), entry, buffer, len, found)
    })
    .map(|entry| entry.map(|entry| entry.gr_gid))
}

/// getgrouplist(3): the supplementary groups of a user, `gid` among them. At most 65,536 are listed, as
/// many as a process can have.
pub(crate) fn groups_of(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: the vector has room for `count` numbers and lives through the call, as `count` and
        // `name` do.
        let result =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let found = usize::try_from(count).unwrap_or(0);
        if result >= 0 || groups.len() >= 65_536 {
            groups.truncate(found);
            return groups;
        }
        groups.resize((groups.len() * 2).max(found).min(65_536), 0);
    }
}

/// Calls one of the `get..._r` functions with ever larger buffers, 1 KiB to 1 MiB.
fn lookup<T>(
    call: impl Fn(*mut T, *mut libc::c_char, libc::size_t, *mut *mut T) -> libc::c_int,
) -> io::Result<Option<T>> {
    lookup_then(call, |entry| entry)
}

/// The same; `then` is given the entry while the buffer that it points into is alive.
fn lookup_then<T, U>(
    call: impl Fn(*mut T, *mut libc::c_char, libc::size_t, *mut *mut T) -> libc::c_int,
    then: impl FnOnce(T) -> U,
) -> io::Result<Option<U>> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = std::mem::MaybeUninit::<T>::zeroed();
        let mut found: *mut T = std::ptr::null_mut();
        let errno = call(
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut found,
        );
        match errno {
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            // What the manual lists for "no such name".
            0 | libc::ENOENT | libc::ESRCH if found.is_null() => return Ok(None),
            // SAFETY: zero and a result mean that the whole entry was written; and it was all zeros
            // before, which a plain C struct of numbers and pointers may be.
            0 => return Ok(Some(then(unsafe { entry.assume_init() }))),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let root = User { uid: 0, gid: 0 };
        assert_eq!(user_by_name(c"root").unwrap(), Some(root));
        assert_eq!(user_by_uid(0).unwrap(), Some((root, c"root".to_owned())));
        assert_eq!(group_by_name(c"root").unwrap(), Some(0));
        assert!(groups_of(c"root", 0).contains(&0));
    }

    #[test]
    fn nobody_by_that_name_is_none_and_no_error() {
        assert_eq!(user_by_name(c"no-such-user-here").unwrap(), None);
        assert_eq!(group_by_name(c"no-such-group-here").unwrap(), None);
        assert_eq!(user_by_uid(4_000_000_000).unwrap(), None);
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The harness runs each test on a thread of its own.
        let (_keep, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        assert!(fork_single_threaded().is_err());
        drop(_keep);
        assert!(thread.join().unwrap().is_err());
    }
}
