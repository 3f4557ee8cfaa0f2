//! What the answers of databases, caches and agents say of a server.

mod agent;
mod redis;

pub use agent::agent_outcome;
pub use redis::redis_outcome;
