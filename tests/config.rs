//! The configuration language: what files come to mean and what is said about them.
//!
//! The goldens lie in `config/snapshots`; `cargo insta review` or `INSTA_UPDATE=always` renews them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "config/corrections.rs"]
mod corrections;
#[path = "config/documentation.rs"]
mod documentation;
#[path = "config/files.rs"]
mod files;
#[path = "config/goldens.rs"]
mod goldens;
#[path = "config/properties.rs"]
mod properties;
#[path = "config/scenarios.rs"]
mod scenarios;
#[path = "config/summary.rs"]
mod summary;
