//! The files of a configuration, read from the disk.

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::config::glob::{has_wildcard, matches};
use crate::config::model::ScriptUser;
use crate::config::{Audit, Files, ScriptFile};

/// The disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

/// How many files one pattern may name.
const MATCHES_MAX: usize = 10_000;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        std::fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 == 0)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for component in pattern.components() {
            let mut next = Vec::new();
            for base in found {
                next.extend(step(&base, component)?);
            }
            next.truncate(MATCHES_MAX);
            found = next;
        }
        found.retain(|path| self.exists(path));
        found.sort();
        Ok(found)
    }

    fn script(&self, path: &Path) -> Option<ScriptFile> {
        // Asked before it is opened: opening a FIFO would wait for its writer.
        let metadata = std::fs::metadata(path).ok().filter(|meta| meta.is_file())?;
        let mut head = Vec::new();
        let file = std::fs::File::open(path).ok()?;
        file.take(ScriptFile::HEAD_MAX)
            .read_to_end(&mut head)
            .ok()?;
        Some(ScriptFile {
            head,
            writable_by_all: metadata.permissions().mode() & 0o002 != 0,
        })
    }

    fn audit(&self, program: &str, user: Option<&ScriptUser>) -> Audit {
        super::audit::audit(program, user)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// The paths that one component of a pattern makes of one path.
fn step(base: &Path, component: Component<'_>) -> io::Result<Vec<PathBuf>> {
    let name = match component {
        Component::Normal(name) => name,
        other => return Ok(vec![base.join(other)]),
    };
    let Some(pattern) = name.to_str().filter(|name| has_wildcard(name)) else {
        return Ok(vec![base.join(name)]);
    };
    let directory = match base.as_os_str().is_empty() {
        true => Path::new("."),
        false => base,
    };
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name.to_str().is_some_and(|name| matches(pattern, name)) {
            found.push(base.join(name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_plain_files_in_order() {
        let dir = std::env::temp_dir().join(format!("vipd-files-{}", std::process::id()));
        let deep = dir.join("b.d");
        std::fs::create_dir_all(&deep).unwrap();
        for name in ["z.conf", "a.conf", "a.txt", "run.conf"] {
            std::fs::write(deep.join(name), "").unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(deep.join("run.conf"), mode).unwrap();
        let found = Disk.glob(&dir.join("*.d/*.conf"));
        let missing = Disk.glob(&dir.join("none/*.conf"));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found.unwrap(), [deep.join("a.conf"), deep.join("z.conf")]);
        assert!(missing.unwrap().is_empty());
    }
}
