//! Files for the tests: one text in memory, or a directory whose own place stays out of the messages.

use std::io;
use std::path::{Path, PathBuf};

use vipd::config::{Files, Loaded, Options, load};
use vipd::daemon::files::Disk;

/// One file, whatever it is called; includes find nothing.
pub(crate) struct Memory(pub(crate) Vec<u8>);

impl Files for Memory {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn glob(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// The files of a directory, named as seen from it.
pub(crate) struct Within(pub(crate) PathBuf);

impl Files for Within {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(&self.0.join(path))
    }

    fn exists(&self, path: &Path) -> bool {
        Disk.exists(&self.0.join(path))
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let found = Disk.glob(&self.0.join(pattern))?;
        let inside = found
            .iter()
            .filter_map(|path| path.strip_prefix(&self.0).ok());
        Ok(inside.map(Path::to_path_buf).collect())
    }
}

/// Loads a text.
pub(crate) fn load_text(text: &str, options: &Options) -> Loaded {
    load(Path::new("k.conf"), &Memory(text.into()), options)
}
