//! What the allocator of the C library does with memory that is free. Others than glibc have no such
//! calls, and need none: musl gives every free page back by itself.

/// mallopt(3): blocks of at least so many bytes are mapped and unmapped one by one, and so much at the end
/// of the heap is kept. Setting either ends that glibc raises both by itself.
#[cfg(target_env = "gnu")]
pub(crate) fn set_thresholds(bytes: i32) {
    // SAFETY: takes no pointers; what it does not understand it leaves alone.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
    }
}

/// malloc_trim(3): every page that is wholly free goes back to the kernel.
#[cfg(target_env = "gnu")]
pub(crate) fn trim() {
    // SAFETY: takes no pointers; glibc locks each heap that it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Nothing to set.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn set_thresholds(_bytes: i32) {}

/// Nothing to give back.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn trim() {}
