//! Whether a pool has enough servers: keepalived's quorum and hysteresis.

use crate::config::model::VirtualServer;

/// Between these sums of weights a pool stays what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumLimits {
    /// `quorum`, at most the sum of all weights, at least 1.
    pub quorum: u64,
    /// `hysteresis`, at most one less than the quorum.
    pub hysteresis: u64,
}

impl QuorumLimits {
    /// Those of a virtual server.
    pub fn of(virtual_server: &VirtualServer) -> QuorumLimits {
        let weights = virtual_server.real_servers.iter();
        let all: u64 = weights.map(|server| u64::from(server.weight)).sum();
        let quorum = u64::from(virtual_server.pool.quorum.unwrap_or(1));
        let quorum = quorum.min(all).max(1);
        let hysteresis = u64::from(virtual_server.pool.hysteresis.unwrap_or(0));
        QuorumLimits {
            quorum,
            hysteresis: hysteresis.min(quorum - 1),
        }
    }
}

/// Whether the servers of a pool are enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quorum {
    /// They are too few, or nothing is known yet.
    #[default]
    Lost,
    /// They are enough.
    Gained,
}

impl Quorum {
    /// What it is with this sum of the weights of the servers that are up.
    #[must_use]
    pub fn after(self, limits: QuorumLimits, sum: u64) -> Quorum {
        let QuorumLimits { quorum, hysteresis } = limits;
        match self {
            Quorum::Lost if sum >= quorum + hysteresis => Quorum::Gained,
            Quorum::Gained if sum == 0 || sum < quorum - hysteresis => Quorum::Lost,
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(quorum: u64, hysteresis: u64, sums: &[u64]) -> Vec<Quorum> {
        let limits = QuorumLimits { quorum, hysteresis };
        let mut now = Quorum::default();
        let mut step = |&sum| {
            now = now.after(limits, sum);
            now
        };
        sums.iter().map(&mut step).collect()
    }

    #[test]
    fn without_hysteresis_the_quorum_is_the_limit_both_ways() {
        use Quorum::{Gained, Lost};
        assert_eq!(
            run(3, 0, &[2, 3, 2, 4, 0]),
            [Lost, Gained, Lost, Gained, Lost]
        );
    }

    #[test]
    fn between_the_limits_it_stays_what_it_was() {
        use Quorum::{Gained, Lost};
        assert_eq!(
            run(4, 2, &[5, 6, 3, 2, 1, 5, 6]),
            [Lost, Gained, Gained, Gained, Lost, Lost, Gained]
        );
    }

    #[test]
    fn no_server_at_all_is_no_quorum() {
        assert_eq!(run(1, 0, &[1, 0]), [Quorum::Gained, Quorum::Lost]);
    }
}
