//! What the allocator of the C library does with memory that is free. Others than glibc have no such
//! calls, and need none: musl gives every free page back by itself. And what is mapped of the program.

use std::ffi::c_void;

/// mallopt(3), M_MMAP_THRESHOLD: blocks of at least so many bytes are mapped and unmapped one by one. Setting it
/// ends that glibc raises it by itself.
#[cfg(target_env = "gnu")]
pub(crate) fn set_mapped_from(bytes: i32) {
    // SAFETY: takes no pointers; what it does not understand it leaves alone.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
    }
}

/// mallopt(3), M_TRIM_THRESHOLD: so many bytes at the end of the heap are kept.
#[cfg(target_env = "gnu")]
pub(crate) fn set_kept_free(bytes: i32) {
    // SAFETY: as above.
    unsafe {
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
pub(crate) fn set_mapped_from(_bytes: i32) {}

/// Nothing to set.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn set_kept_free(_bytes: i32) {}

/// Nothing to give back.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn trim() {}

/// madvise(2), MADV_POPULATE_WRITE (Linux 5.14): whole pages among these bytes are had now, with what is in them;
/// nothing where the kernel does not know it.
pub(crate) fn populate(from: usize, bytes: usize) {
    let page = page_size();
    let (first, end) = (from.next_multiple_of(page), (from + bytes) / page * page);
    if end <= first {
        return;
    }
    let at = std::ptr::with_exposed_provenance_mut::<c_void>(first);
    // SAFETY: changes no byte; what is not mapped is an error.
    unsafe {
        libc::madvise(at, end - first, libc::MADV_POPULATE_WRITE);
    }
}

fn page_size() -> usize {
    // SAFETY: takes no pointers; never fails for this name.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })
        .unwrap_or(0)
        .max(4096)
}

/// Unmaps what is mapped of the program and its libraries, as far as nobody can have written to it: parts of
/// files that are mapped without the right to write (PT_LOAD without PF_W, elf(5)). They stay in the
/// kernel's cache; what runs again is mapped again at its next use, which costs a minor fault.
pub(crate) fn unmap_program() {
    // SAFETY: the callback keeps the protocol of dl_iterate_phdr(3), and takes no data.
    unsafe {
        libc::dl_iterate_phdr(Some(unmap_object), std::ptr::null_mut());
    }
}

/// One object of the process.
unsafe extern "C" fn unmap_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> libc::c_int {
    // SAFETY: dl_iterate_phdr hands a description that is valid during the call.
    let (base, headers) = unsafe {
        let info = &*info;
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info.dlpi_addr, headers)
    };
    let page = u64::try_from(page_size()).unwrap_or(4096);
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let first = base.wrapping_add(header.p_vaddr);
        // Whole pages only: whatever shares one with it is left alone.
        let (Ok(from), Ok(to)) = (
            usize::try_from(first.next_multiple_of(page)),
            usize::try_from(first.saturating_add(header.p_memsz) / page * page),
        ) else {
            continue;
        };
        if to <= from {
            continue;
        }
        let at = std::ptr::with_exposed_provenance_mut::<c_void>(from);
        // SAFETY: nothing is lost: these pages have the file's contents alone, and come back as such.
        unsafe {
            libc::madvise(at, to - from, libc::MADV_DONTNEED);
        }
    }
    0
}
