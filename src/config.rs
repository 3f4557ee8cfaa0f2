//! The configuration language: text in, a typed [`Config`] and diagnostics out. No IO of its own:
//! whoever calls hands it the text of every file.

pub mod model;

pub use model::Config;
