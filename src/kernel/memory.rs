//! Memory that is not used any more goes back to the kernel. What a daemon needs for a moment, to read a
//! large configuration or to compare two, it would otherwise keep for as long as it runs.

use std::sync::Mutex;

use super::sys;

/// Lists of at least this size are mapped one by one, and unmapped when they go. glibc begins with as much,
/// but raises it with every list that goes, up to 32 MiB: the next ones then come to lie between small
/// things, and leave holes there.
const LARGE: i32 = 128 * 1024;

/// While there is room for them in the heap, lists up to this size lie there: the most that glibc takes.
const LARGE_WITH_ROOM: i32 = 32 * 1024 * 1024;

/// Smaller than that, so that it is a part of the heap.
const ROOM_PIECE: usize = 16 * 1024 * 1024;

/// How many [`Room`]s there are.
static ROOMS: Mutex<usize> = Mutex::new(0);

/// To be called once, before anything large is made.
pub fn keep_large_apart() {
    sys::memory::set_mapped_from(LARGE);
    sys::memory::set_kept_free(LARGE);
}

/// Room in the heap of a thread for what it is about to make. glibc grows the heap of a thread by a page each
/// time, with a system call for each; what has been there once it grows into without one. The pages that will
/// surely be used are had at once, which is cheaper than one by one, and large lists lie there too. To be dropped
/// by the thread that made it; what was not used of it goes back then.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
}

impl Room {
    /// Makes room for so many bytes, of which the first `surely` will be used.
    pub fn make(bytes: usize, surely: usize) -> Room {
        count_rooms(|rooms| rooms + 1);
        let pieces = pieces(bytes);
        let places = pieces.iter().map(|piece| piece.as_ptr().addr());
        let (first, last) = (places.clone().min(), places.max());
        drop(pieces);
        if let (Some(first), Some(last)) = (first, last)
            // Side by side, but for what the allocator has between them: nobody else's pages are among these.
            && last - first <= bytes + bytes / 64
        {
            sys::memory::populate(first, surely.min(bytes));
        }
        Room { bytes }
    }
}

impl Drop for Room {
    /// [`give_back`] does not reach the end of the heap of another thread.
    fn drop(&mut self) {
        // The heap grows over all of it, and shrinks again: glibc gives back what it shrinks by.
        drop(pieces(self.bytes));
        count_rooms(|rooms| rooms.saturating_sub(1));
    }
}

fn count_rooms(change: fn(usize) -> usize) {
    let mut rooms = ROOMS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    *rooms = change(*rooms);
    sys::memory::set_mapped_from(match *rooms {
        0 => LARGE,
        _ => LARGE_WITH_ROOM,
    });
}

/// Side by side, and nobody writes to them: their pages are not had.
fn pieces(bytes: usize) -> Vec<Vec<u8>> {
    let begins = (0..bytes).step_by(ROOM_PIECE);
    let piece = |begin| Vec::with_capacity(ROOM_PIECE.min(bytes - begin));
    begins
        .map(|begin| std::hint::black_box(piece(begin)))
        .collect()
}

/// Gives every page back that is free. Not for a thread that must not wait: each heap of the process is
/// locked in turn.
pub fn give_back() {
    sys::memory::trim();
}

/// Gives the pages of the program back, most of which runs only when it starts or reads a configuration:
/// what runs again is mapped again. For a time when nobody is in a hurry.
pub fn unmap_program() {
    sys::memory::unmap_program();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = text.lines().find(|line| line.starts_with("Rss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// KiB of programs and libraries that are mapped and may run.
    fn program_kib() -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut sum, mut counts) = (0, false);
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            if !first.ends_with(':') {
                counts = line.contains(" r-xp ") && line.contains('/');
            } else if counts && first == "Rss:" {
                sum += words.next().unwrap().parse::<u64>().unwrap();
            }
        }
        sum
    }

    /// Maps all of the program and its libraries, by reading it.
    fn map_program() {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        for line in maps
            .lines()
            .filter(|line| line.contains(" r-xp ") && line.contains('/'))
        {
            let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
            let mut bytes = vec![0; (to - from).try_into().unwrap()];
            memory.read_exact_at(&mut bytes, from).unwrap();
        }
    }

    /// Runs the test of this name in a process of its own: what these measure belongs to the whole process,
    /// and the tests beside them take and use memory too. True in that process: it is where to measure.
    fn alone(test: &str) -> bool {
        const ALONE: &str = "VIPD_TEST_ALONE";
        if std::env::var_os(ALONE).is_some() {
            return true;
        }
        let path = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &path, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{told}");
        assert!(told.contains("1 passed"), "{told}");
        false
    }

    #[test]
    fn the_program_is_unmapped_and_runs_on() {
        if !alone("the_program_is_unmapped_and_runs_on") {
            return;
        }
        map_program();
        let before = program_kib();
        unmap_program();
        let after = program_kib();
        assert!(
            after * 2 < before,
            "{before} KiB of program, then {after} KiB"
        );
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn room_that_nobody_used_goes_back() {
        if !alone("room_that_nobody_used_goes_back") {
            return;
        }
        let room = 48 * 1024 * 1024;
        let measure = move || {
            let before = resident_kib();
            let made_room = Room::make(room, room);
            let made = resident_kib();
            let used = vec![vec![1; 1024]; 1024];
            drop(made_room);
            let left = resident_kib();
            drop(used);
            (before, made, left)
        };
        let (before, made, left) = std::thread::spawn(measure).join().unwrap();
        let told = format!("{before} KiB, with room {made} KiB, without it {left} KiB");
        assert!(before + 30_000 < made, "{told}");
        assert!(left + 30_000 < made, "{told}");
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_lies_free_between_things_in_use_goes_back() {
        if !alone("what_lies_free_between_things_in_use_goes_back") {
            return;
        }
        // 64 MiB in pieces, of which every sixty-fourth stays.
        let mut pieces: Vec<Option<Box<[u8]>>> =
            (0..65_536).map(|_| Some(vec![1; 1024].into())).collect();
        for (number, piece) in pieces.iter_mut().enumerate() {
            if number % 64 != 0 {
                *piece = None;
            }
        }
        let before = resident_kib();
        give_back();
        let after = resident_kib();
        assert!(after + 30_000 < before, "{before} KiB, then {after} KiB");
        assert_eq!(pieces.iter().flatten().count(), 1024);
    }
}
