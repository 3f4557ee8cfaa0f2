//! Whether a program can be run by its user, and whether anybody but root could put another in its place.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::config::Audit;
use crate::config::model::ScriptUser;
use crate::errno::Words;
use crate::kernel::fifo::Owner;
use crate::kernel::spawner::owner_of;

const STICKY: u32 = 0o1000;
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;

/// Looks at a program as `user` would run it.
pub(super) fn audit(program: &str, user: Option<&ScriptUser>) -> Audit {
    match look(program, user) {
        Ok(replaceable) => Audit {
            broken: None,
            replaceable,
        },
        Err(why) => Audit {
            broken: Some(why),
            replaceable: None,
        },
    }
}

/// Why others may replace it, with what to do; an error is why it cannot be run.
fn look(program: &str, user: Option<&ScriptUser>) -> Result<Option<(String, String)>, String> {
    let owner = owner_of(user)?;
    let named = match program.contains('/') {
        // Scripts are run in the root directory.
        true => Path::new("/").join(program),
        false => in_path(program, owner)?,
    };
    let real = std::fs::canonicalize(&named).map_err(|error| Words(&error).to_string())?;
    let metadata = std::fs::metadata(&real).map_err(|error| Words(&error).to_string())?;
    if !metadata.is_file() {
        return Err(format!("it is {}", kind(&metadata)));
    }
    if !is_executable(&metadata, owner) {
        return Err(format!(
            "user {} group {} may not execute it (mode {:04o}, user {} group {})",
            owner.uid,
            owner.gid,
            metadata.mode() & 0o7777,
            metadata.uid(),
            metadata.gid()
        ));
    }
    let mode = metadata.mode();
    let becomes_root = (metadata.uid() == 0 && mode & SET_UID != 0)
        || (metadata.gid() == 0 && mode & SET_GID != 0);
    if owner.uid != 0 && owner.gid != 0 && !becomes_root {
        return Ok(None);
    }
    let paths: BTreeSet<PathBuf> = [named, real]
        .iter()
        .flat_map(|path| path.ancestors().map(Path::to_owned))
        .collect();
    for path in paths {
        let metadata =
            std::fs::symlink_metadata(&path).map_err(|error| Words(&error).to_string())?;
        if let Some(found) = replaceable(&path, &metadata) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether somebody else than root may change what stands there.
fn replaceable(path: &Path, metadata: &Metadata) -> Option<(String, String)> {
    let shown = path.display();
    let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
    if uid != 0 {
        return Some((
            format!("{shown} belongs to user {uid}"),
            format!("chown root {shown}"),
        ));
    }
    // Of a link the mode says nothing; in a sticky directory nobody removes what is another's.
    if metadata.is_symlink() || (metadata.is_dir() && mode & STICKY != 0) {
        return None;
    }
    let mode_shown = mode & 0o7777;
    if mode & 0o002 != 0 {
        return Some((
            format!("everybody may write to {shown} (mode {mode_shown:04o})"),
            format!("chmod o-w {shown}"),
        ));
    }
    if gid != 0 && mode & 0o020 != 0 {
        return Some((
            format!("group {gid} may write to {shown} (mode {mode_shown:04o})"),
            format!("chmod g-w {shown}"),
        ));
    }
    None
}

/// Where PATH leads; as keepalived looks for it.
fn in_path(program: &str, owner: Owner) -> Result<PathBuf, String> {
    const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT.to_owned());
    let mut found = None;
    for directory in path.split(':').filter(|directory| !directory.is_empty()) {
        let candidate = Path::new(directory).join(program);
        let Ok(metadata) = std::fs::metadata(&candidate) else {
            continue;
        };
        if metadata.is_file() && is_executable(&metadata, owner) {
            return Ok(candidate);
        }
        found.get_or_insert(candidate);
    }
    Err(match found {
        Some(path) => format!("user {} may not execute {}", owner.uid, path.display()),
        None => format!("it is not in PATH ({path})"),
    })
}

/// execve(2), without supplementary groups.
fn is_executable(metadata: &Metadata, owner: Owner) -> bool {
    let mode = metadata.mode();
    let bit = match owner.uid {
        0 => 0o111,
        uid if uid == metadata.uid() => 0o100,
        _ if owner.gid == metadata.gid() => 0o010,
        _ => 0o001,
    };
    mode & bit != 0
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "no file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn with_file(name: &str, mode: u32, test: impl FnOnce(&str)) {
        let dir = std::env::temp_dir().join(format!("vipd-audit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("script");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        test(path.to_str().unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn broken(program: &str) -> String {
        audit(program, None).broken.unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        assert_eq!(broken("/no/such"), "no such file or directory (ENOENT)");
        assert_eq!(broken("/tmp"), "it is a directory");
        assert!(broken("no-such-program-here").starts_with("it is not in PATH"));
        with_file("mode", 0o644, |path| {
            assert!(broken(path).contains("may not execute it (mode 0644"));
        });
        let nobody = ScriptUser {
            user: "no-such-user".to_owned(),
            group: None,
        };
        let told = audit("/bin/sh", Some(&nobody)).broken.unwrap();
        assert_eq!(told, "user no-such-user does not exist");
    }

    #[test]
    fn what_the_system_has_is_in_order() {
        let root = ScriptUser {
            user: "root".to_owned(),
            group: None,
        };
        assert_eq!(audit("/bin/sh", Some(&root)), Audit::default());
        assert_eq!(audit("sh", Some(&root)), Audit::default());
    }

    #[test]
    fn who_may_write_is_named() {
        let root = ScriptUser {
            user: "root".to_owned(),
            group: None,
        };
        with_file("write", 0o757, |path| {
            let (why, hint) = audit(path, Some(&root)).replaceable.unwrap();
            // Whoever runs this test, root or not, the file or its directory is not root's alone.
            assert!(
                why.contains("(mode 0757)") || why.contains("belongs to"),
                "{why}"
            );
            assert!(hint.starts_with("ch"), "{hint}");
        });
    }
}
