//! Any bytes as a configuration: it ends, does not panic, and whatever is said of it can be printed.
//!
//! `cargo +nightly fuzz run config -- -max_total_time=600`

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use vipd::config::{self, Compat, Files, Options, Style};

/// The same bytes under every name, so that an include finds itself.
struct Same<'a>(&'a [u8]);

impl Files for Same<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }

    fn exists(&self, _: &Path) -> bool {
        true
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![pattern.to_owned()])
    }
}

fuzz_target!(|bytes: &[u8]| {
    for compat in [Compat::Vipd, Compat::Keepalived] {
        let options = Options { compat, config_id: "host".to_owned(), ..Options::default() };
        let loaded = config::load(Path::new("fuzz.conf"), &Same(bytes), &options);
        for style in [Style::Plain, Style::Concise] {
            let _ = loaded.render(style);
        }
    }
});
