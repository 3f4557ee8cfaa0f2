//! Proofs that one knows a password without saying it.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY as SHA1, SHA256};

use crate::wire::talk::shown;

/// How a server wants a password to be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// `mysql_native_password`.
    Native,
    /// `caching_sha2_password`.
    CachingSha2,
    /// Any other.
    Other(String),
}

impl Plugin {
    pub(super) fn of(name: &[u8]) -> Plugin {
        match name {
            b"mysql_native_password" | b"" => Plugin::Native,
            b"caching_sha2_password" => Plugin::CachingSha2,
            other => Plugin::Other(shown(other)),
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Plugin::Native => "mysql_native_password",
            Plugin::CachingSha2 => "caching_sha2_password",
            Plugin::Other(name) => name,
        }
    }
}

/// The proof; an empty password has an empty one.
pub(super) fn answer(plugin: &Plugin, password: &str, scramble: &[u8]) -> Vec<u8> {
    let scramble = scramble.get(..scramble.len().min(20)).unwrap_or_default();
    if password.is_empty() {
        return Vec::new();
    }
    let password = password.as_bytes();
    match plugin {
        Plugin::Native => {
            let once = hash(&SHA1, &[password]);
            let twice = hash(&SHA1, &[&once]);
            xor(&once, &hash(&SHA1, &[scramble, &twice]))
        }
        Plugin::CachingSha2 => {
            let once = hash(&SHA256, &[password]);
            let twice = hash(&SHA256, &[&once]);
            xor(&once, &hash(&SHA256, &[&twice, scramble]))
        }
        Plugin::Other(_) => Vec::new(),
    }
}

fn hash(algorithm: &'static ring::digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}
