//! How the kernel schedules a thread of this process, and whether its memory may be swapped.

use std::io;
use std::mem::size_of;

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// setpriority(2) of one thread: on Linux the nice value is the thread's.
pub(crate) fn set_nice(thread: u32, nice: i8) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, thread, nice.into()) })
}

/// getpriority(2) of one thread.
pub(crate) fn nice(thread: u32) -> io::Result<i8> {
    // -1 is a nice value too; the kernel's own call says 20 - nice, which is never negative.
    // SAFETY: takes no pointers.
    let twenty_minus = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, thread) };
    match twenty_minus {
        1..=40 => i8::try_from(20 - twenty_minus).map_err(io::Error::other),
        _ => Err(io::Error::last_os_error()),
    }
}

/// sched_setscheduler(2): SCHED_RR with this priority (1 to 99), which children do not inherit; 0:
/// SCHED_OTHER.
pub(crate) fn set_real_time(thread: u32, priority: u8) -> io::Result<()> {
    let policy = match priority {
        0 => libc::SCHED_OTHER,
        _ => libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
    };
    // All that a sched_param is to the kernel. The kernel's own call: musl's function refuses.
    let parameters: libc::c_int = priority.into();
    // SAFETY: the pointer is to a sched_param of ours, which the call only reads.
    let done = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            thread.cast_signed(),
            policy,
            &raw const parameters,
        )
    };
    check(i32::from(done != 0))
}

/// sched_setaffinity(2): the thread runs on these processors alone, numbers below 1024.
pub(crate) fn set_affinity(thread: u32, processors: &[u16]) -> io::Result<()> {
    // SAFETY: a cpu_set_t is plain bits, for which zero is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for processor in processors {
        let processor = usize::from(*processor);
        if processor >= size_of::<libc::cpu_set_t>() * 8 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: the number is below that of the bits in the set.
        unsafe { libc::CPU_SET(processor, &mut set) };
    }
    // SAFETY: the pointer is to a set of the length that is stated, which the call only reads.
    check(unsafe {
        libc::sched_setaffinity(
            thread.cast_signed(),
            size_of::<libc::cpu_set_t>(),
            &raw const set,
        )
    })
}

/// sched_getaffinity(2): the processors that the thread may run on.
pub(crate) fn affinity(thread: u32) -> io::Result<Vec<u16>> {
    // SAFETY: a cpu_set_t is plain bits, for which zero is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a set of the length that is stated, which the call writes.
    check(unsafe {
        libc::sched_getaffinity(
            thread.cast_signed(),
            size_of::<libc::cpu_set_t>(),
            &raw mut set,
        )
    })?;
    let bits = u16::try_from(size_of::<libc::cpu_set_t>() * 8).map_err(io::Error::other)?;
    // SAFETY: every number is below that of the bits in the set.
    let holds = |processor: &u16| unsafe { libc::CPU_ISSET(usize::from(*processor), &set) };
    Ok((0..bits).filter(holds).collect())
}

/// setrlimit(2), RLIMIT_RTTIME: after so many microseconds without a blocking call, a thread with a
/// real-time priority brings SIGXCPU upon the process. There is no hard limit, which would kill it.
pub(crate) fn set_real_time_limit(micros: Option<u64>) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: micros.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the pointer is to an rlimit of ours, which the call only reads.
    check(unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) })
}

/// mlockall(2): what is in memory stays there, and what is touched later too (Linux 4.4).
pub(crate) fn lock_memory() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) })
}

/// munlockall(2).
pub(crate) fn unlock_memory() -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::munlockall() })
}
