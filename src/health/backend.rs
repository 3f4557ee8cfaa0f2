//! What the answers of databases, caches and agents say of a server.

mod agent;
mod grpc;
mod mysql;
mod pgsql;
mod redis;

pub use agent::agent_outcome;
pub use grpc::grpc_outcome;
pub use mysql::{mysql_outcome, mysql_questions};
pub use pgsql::{pgsql_outcome, pgsql_statements};
pub use redis::redis_outcome;
