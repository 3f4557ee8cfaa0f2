//! `--fix`: shows or writes what [`crate::config::fix`] corrects.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use crate::config::fix::{Corrected, fix};
use crate::config::{Loaded, Options};
use crate::daemon::files::Disk;
use crate::errno::Words;

use super::diff::unified;

/// Whether each corrected file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    All,
    NotAll,
}

/// Prints a diff of what would be corrected; returns the configuration as it would read then.
pub(super) fn show(root: &Path, options: &Options) -> Loaded {
    let fixed = fix(root, &Disk, options);
    for file in &fixed.files {
        super::print(&unified(&file.path, &file.before, &file.after));
    }
    fixed.loaded
}

/// Writes what is corrected and says so, on standard error where standard output is for a program.
pub(super) fn write(root: &Path, options: &Options, quiet: bool) -> Written {
    let mut written = Written::All;
    for file in fix(root, &Disk, options).files {
        let path = file.path.display();
        let said = match replace(&file) {
            Ok(target) => {
                let link = match target == file.path {
                    true => String::new(),
                    false => format!(" (a link; written is {})", target.display()),
                };
                let fixes: String = file.done.iter().map(|d| format!("fixed: {d}\n")).collect();
                format!("{fixes}wrote {path}{link}\n")
            }
            Err(error) => {
                written = Written::NotAll;
                crate::cli::say(&format!("correct {path}: {error}; it stays as it was"));
                continue;
            }
        };
        match quiet {
            true => {
                let _ = io::stderr().write_all(said.as_bytes());
            }
            false => super::print(&said),
        }
    }
    written
}

/// Why a file is not written.
enum Refusal {
    Changed,
    NotPlain,
    Names(u64),
    Io(&'static str, io::Error),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Changed => f.write_str("it changed meanwhile, or is not UTF-8 text"),
            Refusal::NotPlain => f.write_str("it is not a plain file"),
            Refusal::Names(count) => write!(f, "it has {count} names (hard links)"),
            Refusal::Io(what, error) => write!(f, "{what}: {}", Words(error)),
        }
    }
}

/// Puts the corrected text in the place of a file at once; returns where, links followed.
fn replace(file: &Corrected) -> Result<PathBuf, Refusal> {
    let is_link = fs::symlink_metadata(&file.path).map_err(|e| Refusal::Io("look at it", e))?;
    let target = match is_link.is_symlink() {
        true => fs::canonicalize(&file.path).map_err(|e| Refusal::Io("follow the link", e))?,
        false => file.path.clone(),
    };
    let metadata = unchanged(&target, file)?;
    let mut beside = target.clone().into_os_string();
    beside.push(format!(".vipd-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let done = write_beside(&beside, file.after.as_bytes(), &metadata)
        .map_err(|e| Refusal::Io("write beside it", e))
        .and_then(|()| unchanged(&target, file))
        .and_then(|_| fs::rename(&beside, &target).map_err(|e| Refusal::Io("rename", e)));
    if let Err(refusal) = done {
        // Somebody else's file of that name is not ours to remove.
        let theirs =
            matches!(&refusal, Refusal::Io(_, e) if e.kind() == io::ErrorKind::AlreadyExists);
        if !theirs {
            let _ = fs::remove_file(&beside);
        }
        return Err(refusal);
    }
    Ok(target)
}

/// What the file system says of a file that still holds what was corrected.
fn unchanged(target: &Path, file: &Corrected) -> Result<Metadata, Refusal> {
    let read = |e| Refusal::Io("read it again", e);
    let metadata = fs::symlink_metadata(target).map_err(read)?;
    if !metadata.is_file() {
        return Err(Refusal::NotPlain);
    }
    if metadata.nlink() > 1 {
        return Err(Refusal::Names(metadata.nlink()));
    }
    match fs::read(target).map_err(read)? == file.before.as_bytes() {
        true => Ok(metadata),
        false => Err(Refusal::Changed),
    }
}

/// Writes a new file with the mode and owner of another, closed to others until it is whole.
fn write_beside(path: &Path, bytes: &[u8], like: &Metadata) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        fchown(&file, Some(like.uid()), Some(like.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_meanwhile_is_not_written() {
        let name = format!("vipd-correct-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, "somebody's").unwrap();
        let corrected = Corrected {
            path: path.clone(),
            before: "read".to_owned(),
            after: "corrected".to_owned(),
            done: Vec::new(),
        };
        let refused = replace(&corrected);
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(refused, Err(Refusal::Changed)));
        assert_eq!(text, "somebody's");
    }
}
