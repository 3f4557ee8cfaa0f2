//! `slow_start`: the weight of a server that comes back, step by step.

use std::time::Duration;

/// Steps below the whole weight.
const STEPS: u32 = 10;

/// The weight that a server has so long after it came back, at least 1 where the whole is; all of it from
/// `span` on.
pub fn ramped(weight: u32, elapsed: Duration, span: Duration) -> u32 {
    let Some(step) = step(elapsed, span) else {
        return weight;
    };
    let part = u64::from(weight) * u64::from(step + 1);
    let part = part.div_ceil(u64::from(STEPS + 1));
    u32::try_from(part).unwrap_or(weight)
}

/// How long after the server came back its weight changes next; `None` when it is whole.
pub fn next_step(elapsed: Duration, span: Duration) -> Option<Duration> {
    Some(span * (step(elapsed, span)? + 1) / STEPS)
}

fn step(elapsed: Duration, span: Duration) -> Option<u32> {
    if elapsed >= span {
        return None;
    }
    let step = elapsed.as_nanos() * u128::from(STEPS) / span.as_nanos();
    u32::try_from(step).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_grows_in_ten_steps_and_is_whole_at_the_end() {
        let span = Duration::from_secs(60);
        let mut at = Duration::ZERO;
        let mut weights = vec![ramped(110, at, span)];
        while let Some(next) = next_step(at, span) {
            assert!(next > at, "no step at {at:?}");
            let before = next - Duration::from_nanos(1);
            assert_eq!(Some(&ramped(110, before, span)), weights.last());
            at = next;
            weights.push(ramped(110, at, span));
        }
        assert_eq!(at, span);
        assert_eq!(weights, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
    }

    #[test]
    fn no_weight_becomes_zero_and_zero_stays() {
        let span = Duration::from_secs(10);
        assert_eq!(ramped(1, Duration::ZERO, span), 1);
        assert_eq!(ramped(0, Duration::ZERO, span), 0);
        assert_eq!(ramped(u32::MAX, span, span), u32::MAX);
    }
}
