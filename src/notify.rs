//! Edges to those who are told of changes.

pub mod mailer;
mod tls;
