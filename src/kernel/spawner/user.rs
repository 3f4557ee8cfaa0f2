//! Whom a script runs as.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::time::Duration;

use crate::config::model::ScriptUser;
use crate::errno::Words;
use crate::kernel::fifo::Owner;
use crate::kernel::sys::process::{self, Identity, User};
use crate::time::Time;

/// keepalived's own user for scripts, used where the configuration names none.
const DEFAULT_USER: &str = "keepalived_script";

/// How long an answer of the user data base is believed: it may be a directory server, and scripts start
/// every second.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Answers of the user data base.
#[derive(Debug, Default)]
pub(super) struct Users {
    known: BTreeMap<Names, Answer>,
}

/// User and group as configured.
type Names = (Option<String>, Option<String>);
/// When it was given, and what it was.
type Answer = (Time, Option<Identity>);

impl Users {
    /// The identity to take on; `None`: stay what we are. An error is a reason in words.
    pub(super) fn identity(
        &mut self,
        user: Option<&ScriptUser>,
        now: Time,
    ) -> Result<Option<Identity>, String> {
        let key = (
            user.map(|user| user.user.clone()),
            user.and_then(|user| user.group.clone()),
        );
        if let Some((at, identity)) = self.known.get(&key)
            && now.since(*at) < BELIEVED_FOR
        {
            return Ok(identity.clone());
        }
        let identity = match user {
            Some(user) => Some(named(&user.user, user.group.as_deref())?),
            None => default_identity()?,
        };
        let identity = identity.filter(|identity| !is_ours(identity));
        self.known.insert(key, (now, identity.clone()));
        Ok(identity)
    }
}

/// Not only root can run vipd for a test of a configuration; the switch to ourselves needs no privilege.
fn is_ours(identity: &Identity) -> bool {
    identity.uid == process::effective_uid() && identity.gid == process::effective_gid()
}

/// User and group that something for this user belongs to; without a user as for scripts.
///
/// # Errors
/// The user or the group does not exist, in words.
pub fn owner_of(user: Option<&ScriptUser>) -> Result<Owner, String> {
    let identity = match user {
        Some(user) => Some(named(&user.user, user.group.as_deref())?),
        None => default_identity()?,
    };
    Ok(match identity {
        Some(Identity { uid, gid, .. }) => Owner { uid, gid },
        None => Owner {
            uid: process::effective_uid(),
            gid: process::effective_gid(),
        },
    })
}

/// Number of a group; a number stands for itself.
///
/// # Errors
/// It does not exist, in words.
pub fn group_of(group: &str) -> Result<u32, String> {
    group_number(group)
}

/// The user that this process runs as.
pub fn own_user() -> u32 {
    process::effective_uid()
}

fn default_identity() -> Result<Option<Identity>, String> {
    // Who is not root cannot become anybody: then the default is to stay.
    if process::effective_uid() != 0 {
        return Ok(None);
    }
    match user_entry(DEFAULT_USER)? {
        Some((entry, name)) => Ok(Some(identity(entry, name, entry.gid))),
        None => Ok(None),
    }
}

fn named(user: &str, group: Option<&str>) -> Result<Identity, String> {
    let found = user_entry(user)?;
    let number = user.parse::<u32>().ok();
    let gid = group.map(group_number).transpose()?;
    match (found, number, gid) {
        (Some((entry, name)), _, gid) => Ok(identity(entry, name, gid.unwrap_or(entry.gid))),
        // A number without an entry is a user nevertheless, but has no group of its own.
        (None, Some(uid), Some(gid)) => Ok(Identity {
            uid,
            gid,
            groups: vec![gid],
        }),
        (None, Some(uid), None) => Err(format!(
            "user {uid} is not known here and has no group; name one: user {uid} GROUP"
        )),
        (None, None, _) => Err(format!("user {user} does not exist")),
    }
}

/// With the user's supplementary groups, as su(1) and cron give them; root's are given up.
fn identity(entry: User, name: CString, gid: u32) -> Identity {
    Identity {
        uid: entry.uid,
        gid,
        groups: process::groups_of(&name, gid),
    }
}

/// By name, else by number.
fn user_entry(user: &str) -> Result<Option<(User, CString)>, String> {
    let failed = |error| format!("look up user {user}: {}", Words(&error));
    let name = c_name("user", user)?;
    if let Some(entry) = process::user_by_name(&name).map_err(failed)? {
        return Ok(Some((entry, name)));
    }
    match user.parse() {
        Ok(uid) => process::user_by_uid(uid).map_err(failed),
        Err(_) => Ok(None),
    }
}

fn group_number(group: &str) -> Result<u32, String> {
    let name = c_name("group", group)?;
    let found = process::group_by_name(&name)
        .map_err(|error| format!("look up group {group}: {}", Words(&error)))?;
    found
        .or_else(|| group.parse().ok())
        .ok_or_else(|| format!("group {group} does not exist"))
}

fn c_name(what: &str, name: &str) -> Result<CString, String> {
    CString::new(name).map_err(|_| format!("{what} {name:?} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: &str, group: Option<&str>) -> ScriptUser {
        ScriptUser {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        }
    }

    #[test]
    fn a_user_or_group_that_does_not_exist_is_named() {
        assert_eq!(
            named("no-such-user-here", None),
            Err("user no-such-user-here does not exist".to_owned())
        );
        assert_eq!(
            named("root", Some("no-such-group-here")),
            Err("group no-such-group-here does not exist".to_owned())
        );
        assert_eq!(
            named("ro\0ot", None),
            Err("user \"ro\\0ot\" does not exist".to_owned())
        );
    }

    #[test]
    fn numbers_are_users_and_groups_too() {
        assert_eq!(named("0", None).unwrap().uid, 0);
        let unknown = named("4000000000", Some("4000000001")).unwrap();
        assert_eq!(
            (unknown.uid, unknown.gid, unknown.groups),
            (4_000_000_000, 4_000_000_001, vec![4_000_000_001])
        );
        assert!(named("4000000000", None).unwrap_err().contains("GROUP"));
    }

    #[test]
    fn what_was_answered_is_believed_for_a_minute() {
        let mut users = Users::default();
        let of = user("nobody", None);
        let start = Time::from_millis(1000);
        let first = users.identity(Some(&of), start).unwrap();
        for (_, known) in users.known.values_mut() {
            *known = None;
        }
        let changed = users.identity(Some(&of), start + BELIEVED_FOR / 2).unwrap();
        assert_eq!(changed, None, "the changed memory shows that it was asked");
        let again = users.identity(Some(&of), start + BELIEVED_FOR).unwrap();
        assert_eq!(again, first);
    }
}
