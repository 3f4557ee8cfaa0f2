//! The command line and the files it names.

pub mod files;
