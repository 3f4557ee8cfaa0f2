//! No part of the tests: a library of its own that `linux.uml` is started with (`LD_PRELOAD`; see
//! `prepare`, which has rustc build it).
//!
//! The guest's kernel keeps 2696 bytes of floating point state for each process, which is what a
//! processor with AVX-512 has, and writes them back with `PTRACE_SETREGSET`. A processor with AMX has 11
//! KiB, and the machine's kernel takes the whole or nothing (EFAULT): the guest dies at its first
//! instruction. Here the rest is filled with zeros, which says that it is not in use.

use std::ffi::{c_int, c_long, c_uint, c_void};

const SYS_PTRACE: c_long = 101;
const PTRACE_GETREGSET: c_uint = 0x4204;
const PTRACE_SETREGSET: c_uint = 0x4205;
const NT_X86_XSTATE: usize = 0x202;
const STATE_MAX: usize = 1 << 16;

/// What is written; its tail stays zero. Not on the stack, which is that of the guest's kernel and small.
static mut WHOLE: [u8; STATE_MAX] = [0; STATE_MAX];
/// How long the processor's state is; 0 before it was asked.
static mut LEN: usize = 0;

/// As `struct iovec`.
#[repr(C)]
pub struct IoVec {
    base: *mut c_void,
    len: usize,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

/// ptrace(2), with every state as long as the processor's.
#[unsafe(no_mangle)]
pub extern "C" fn ptrace(request: c_uint, pid: c_int, address: usize, data: *mut IoVec) -> c_long {
    let call = |request: c_uint, data: *mut IoVec| {
        // SAFETY: the caller's arguments, as they would have reached the kernel.
        unsafe { syscall(SYS_PTRACE, request as c_long, pid as c_long, address, data) }
    };
    // PEEKs have their result where `data` points to; the C library's own function does that.
    if (1..=3).contains(&request) {
        let mut word: c_long = 0;
        let result = call(request, (&raw mut word).cast());
        return if result < 0 { result } else { word };
    }
    if request != PTRACE_SETREGSET || address != NT_X86_XSTATE {
        return call(request, data);
    }
    let mut all = IoVec {
        base: (&raw mut WHOLE).cast(),
        len: STATE_MAX,
    };
    // SAFETY: one thread of the guest's kernel traces processes, and nobody else knows the statics. The
    // iovec and what it leads to are the caller's own, whom the kernel would have trusted as much.
    unsafe {
        if LEN == 0 && call(PTRACE_GETREGSET, &raw mut all) == 0 {
            LEN = all.len;
            std::ptr::write_bytes(all.base.cast::<u8>(), 0, STATE_MAX);
        }
        if LEN <= (*data).len {
            return call(request, data);
        }
        std::ptr::copy_nonoverlapping((*data).base.cast::<u8>(), all.base.cast(), (*data).len);
        all.len = LEN;
    }
    call(request, &raw mut all)
}
