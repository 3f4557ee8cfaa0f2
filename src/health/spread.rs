//! The random part of the first check's delay, from a seed: the same seed gives the same times again.

use std::time::Duration;

/// A part of `span`, from zero up to but not including the whole, evenly spread over `index` and seeds.
pub(super) fn part_of(span: Duration, seed: u64, index: u64) -> Duration {
    let random = splitmix64(seed ^ splitmix64(index));
    // 64 bits over 2^64: a fraction below one, without floating point.
    let nanos = (span.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
/// generators, 2014).
fn splitmix64(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_published_generator() {
        // First output for the seed 0.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_thousand_checks_are_spread_over_the_whole_span() {
        let span = Duration::from_secs(10);
        let mut tenths = [0; 10];
        for index in 0..1000 {
            let part = part_of(span, 42, index);
            assert!(part < span);
            tenths[usize::try_from(part.as_secs()).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|&n| n > 50), "{tenths:?}");
    }

    #[test]
    fn no_span_has_no_parts() {
        assert_eq!(part_of(Duration::ZERO, 1, 2), Duration::ZERO);
    }
}
