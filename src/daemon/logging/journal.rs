//! The journal of systemd, in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram for each entry,
//! with fields that journalctl(1) can look for.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::{Line, severity};

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// How long one entry may take to be taken.
const TAKE_MAX: Duration = Duration::from_secs(1);
/// Bytes of the text of an entry that is too long for a datagram.
const CUT: usize = 16 << 10;

pub(super) struct Journal {
    socket: UnixDatagram,
    /// The same in each entry.
    head: Vec<u8>,
}

impl Journal {
    /// The journal, if standard error goes there, as systemd says in `JOURNAL_STREAM` (systemd.exec(5)): the
    /// numbers of device and inode of what it has connected.
    pub(super) fn behind_standard_error(facility: u8, ident: &str) -> Option<Journal> {
        let said = std::env::var("JOURNAL_STREAM").ok()?;
        if !is_stream(&said, std::io::stderr().as_fd()) {
            return None;
        }
        Journal::connect(Path::new(SOCKET), facility, ident).ok()
    }

    fn connect(path: &Path, facility: u8, ident: &str) -> io::Result<Journal> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(TAKE_MAX))?;
        let mut head = Vec::new();
        field(&mut head, "SYSLOG_IDENTIFIER", ident);
        field(&mut head, "SYSLOG_FACILITY", &facility.to_string());
        field(&mut head, "SYSLOG_PID", &std::process::id().to_string());
        Ok(Journal { socket, head })
    }

    pub(super) fn send(&self, line: &Line) {
        let sent = self.socket.send(&self.entry(line, &line.text));
        if let Err(error) = sent
            && error.raw_os_error() == Some(libc::EMSGSIZE)
        {
            let end = (0..=CUT).rev().find(|at| line.text.is_char_boundary(*at));
            let text = line.text.get(..end.unwrap_or(0)).unwrap_or_default();
            let _ = self.socket.send(&self.entry(line, &format!("{text}…")));
        }
    }

    fn entry(&self, line: &Line, text: &str) -> Vec<u8> {
        let mut entry = self.head.clone();
        field(&mut entry, "PRIORITY", &severity(line.level).to_string());
        field(&mut entry, "MESSAGE", text);
        for (name, value) in &line.fields {
            field(&mut entry, &format!("VIPD_{}", name.to_uppercase()), value);
        }
        entry
    }
}

/// `DEVICE:INODE` are the numbers of this descriptor.
fn is_stream(said: &str, descriptor: impl AsFd) -> bool {
    let Ok(file) = descriptor.as_fd().try_clone_to_owned().map(fs::File::from) else {
        return false;
    };
    file.metadata()
        .is_ok_and(|found| said == format!("{}:{}", found.dev(), found.ino()))
}

/// `NAME=value`, or with the length before it where the value has more than one line.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn an_entry_has_its_fields_and_a_long_one_is_cut() {
        let path = std::env::temp_dir().join(format!("vipd-journal-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixDatagram::bind(&path).unwrap();
        let journal = Journal::connect(&path, 3, "vipd").unwrap();
        let mut line = Line {
            at: SystemTime::UNIX_EPOCH,
            level: tracing::Level::WARN,
            text: "one\ntwo".to_owned(),
            fields: vec![("kind", "vrrp".to_owned()), ("instance", "VI_1".to_owned())],
        };
        journal.send(&line);
        let mut buffer = vec![0; 1 << 20];
        let length = listener.recv(&mut buffer).unwrap();
        let id = std::process::id();
        let expected = format!(
            "SYSLOG_IDENTIFIER=vipd\nSYSLOG_FACILITY=3\nSYSLOG_PID={id}\nPRIORITY=4\n\
             MESSAGE\n\u{7}\0\0\0\0\0\0\0one\ntwo\nVIPD_KIND=vrrp\nVIPD_INSTANCE=VI_1\n"
        );
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), expected);
        line.text = "ä".repeat(4 << 20);
        journal.send(&line);
        let length = listener.recv(&mut buffer).unwrap();
        assert!(length > CUT && length < CUT + 200, "{length}");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn only_what_systemd_connected_is_its_stream() {
        let file = fs::File::open("/dev/null").unwrap();
        let found = file.metadata().unwrap();
        assert!(is_stream(
            &format!("{}:{}", found.dev(), found.ino()),
            &file
        ));
        assert!(!is_stream(
            &format!("{}:{}", found.dev(), found.ino() + 1),
            &file
        ));
        assert!(!is_stream("", &file));
    }
}
