//! The two engines, one for each thread, and the little they tell each other. Pure: events and the time
//! in, actions out; who carries the actions out is the runtime's affair.

pub mod balancer;
pub mod failover;
pub mod shared;
