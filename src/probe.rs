//! Asking servers whether they are well. One attempt, one answer: when to ask and what an answer means is
//! decided by who asks.

pub mod tcp;
