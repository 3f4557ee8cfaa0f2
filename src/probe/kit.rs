//! What checks of a configuration need beside sockets, made ready once: patterns are compiled and keys
//! are read when the configuration is, and only if one of its checks wants them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::config::model::{CheckerKind, HttpCheck, HttpScheme, HttpUrl};
use crate::config::pattern::Pattern;

use super::backend::Logins;
use super::http::manner;
use super::tls::Tls;

/// Patterns and TLS, as far as a configuration needs them.
#[derive(Default)]
pub struct Kit {
    pub(super) tls: Option<Tls>,
    patterns: BTreeMap<PatternKey, Arc<Pattern>>,
    pub(super) logins: Logins,
}

type PatternKey = (String, Vec<String>);

impl Kit {
    /// Reads the files that `SSL` names, if a check uses them.
    ///
    /// # Errors
    /// In words: which file cannot be used, and why; or which pattern.
    pub fn new(config: &Config) -> Result<Kit, String> {
        let checks = config.checkers().filter_map(|checker| match &checker.kind {
            CheckerKind::Http(check) => Some(&**check),
            _ => None,
        });
        let mut kit = Kit {
            logins: Logins::new(config)?,
            ..Kit::default()
        };
        for check in checks {
            kit.add(check, config)?;
        }
        Ok(kit)
    }

    /// For one check, without keys.
    ///
    /// # Errors
    /// As [`Kit::new`].
    pub fn for_check(check: &HttpCheck) -> Result<Kit, String> {
        let mut kit = Kit::default();
        kit.add(check, &Config::default())?;
        Ok(kit)
    }

    fn add(&mut self, check: &HttpCheck, config: &Config) -> Result<(), String> {
        if check.scheme == HttpScheme::Https && self.tls.is_none() {
            self.tls = Some(Tls::new(config.ssl.as_ref())?);
        }
        if let Some((tls, h2)) = manner(check) {
            self.logins.look(&tls, h2, config)?;
        }
        for url in check.urls.iter() {
            let Some(key) = key(url).filter(|key| !self.patterns.contains_key(key)) else {
                continue;
            };
            let pattern = Pattern::new(&key.0, &key.1)
                .map_err(|error| format!("`regex {}` cannot be used: {error}", key.0))?;
            self.patterns.insert(key, Arc::new(pattern));
        }
        Ok(())
    }

    pub(super) fn pattern(&self, url: &HttpUrl) -> Option<Arc<Pattern>> {
        self.patterns.get(&key(url)?).cloned()
    }
}

fn key(url: &HttpUrl) -> Option<PatternKey> {
    Some((url.regex.clone()?, url.regex_options.clone()))
}
