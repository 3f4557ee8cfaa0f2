//! Who listens: a script that writes down how it was called, and the other end of a FIFO.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::lab::check::{Doing as _, Outcome, wait_until};

/// Makes an executable script.
pub(super) fn script(path: &Path, text: &str) -> Outcome<String> {
    fs::write(path, format!("#!/bin/sh\n{text}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(path.display().to_string())
}

/// A script that writes its user and its arguments to a file.
pub(super) struct Teller {
    /// Its path.
    pub(super) script: String,
    file: PathBuf,
}

impl Teller {
    pub(super) fn new(dir: &Path) -> Outcome<Teller> {
        fs::create_dir_all(dir)?;
        let file = dir.join("told");
        fs::write(&file, "")?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666))?;
        let text = format!(
            "echo \"$(id -u):$(id -g):$(id -G) $*\" >> {}\n",
            file.display()
        );
        let script = script(&dir.join("teller.sh"), &text)?;
        Ok(Teller { script, file })
    }

    pub(super) fn lines(&self) -> Outcome<Vec<String>> {
        let text = fs::read_to_string(&self.file)?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// What was told since `seen` lines, when nothing has come for a while; in any order, since
    /// keepalived starts scripts beside each other.
    pub(super) fn settled(&self, seen: &mut usize) -> Outcome<Vec<String>> {
        let mut lines = self.lines()?;
        let mut quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(1500) {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.lines()?;
            if now != lines {
                quiet = Instant::now();
                lines = now;
            }
        }
        let mut new = lines.split_off((*seen).min(lines.len()));
        *seen += new.len();
        new.sort();
        Ok(new)
    }
}

/// The other end of a FIFO.
pub(crate) struct Listener {
    path: PathBuf,
    fifo: fs::File,
    bytes: Vec<u8>,
}

impl Listener {
    pub(crate) fn open(path: &Path) -> Outcome<Listener> {
        wait_until(format!("{} is there", path.display()), LIMIT, || {
            Ok(path.exists())
        })?;
        Ok(Listener {
            path: path.to_owned(),
            fifo: Self::reader(path).doing(path.display())?,
            bytes: Vec::new(),
        })
    }

    fn reader(path: &Path) -> std::io::Result<fs::File> {
        fs::File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
    }

    /// All lines so far. keepalived makes its FIFOs anew at each reload.
    pub(crate) fn text(&mut self) -> Outcome<String> {
        self.drain()?;
        if let Ok(now) = Self::reader(&self.path)
            && now.metadata()?.ino() != self.fifo.metadata()?.ino()
        {
            self.fifo = now;
            self.drain()?;
        }
        Ok(String::from_utf8_lossy(&self.bytes).into_owned())
    }

    fn drain(&mut self) -> Outcome {
        let mut chunk = [0; 4096];
        loop {
            match self.fifo.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => self.bytes.extend(chunk.iter().take(len)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
