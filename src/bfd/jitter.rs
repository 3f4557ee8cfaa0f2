//! Intervals that differ from packet to packet, from a seed: the same seed gives the same ones again.

use std::num::NonZeroU8;
use std::time::Duration;

/// A stream of random parts.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// 75 to 100 % of `interval`, at most 90 % when not a single packet may be missed (RFC 5880 section
    /// 6.8.7).
    pub(super) fn shorten(&mut self, interval: Duration, multiplier: NonZeroU8) -> Duration {
        let spread = if multiplier.get() == 1 { 15 } else { 25 };
        let nanos = interval.as_nanos();
        // 64 bits over 2^64: a fraction below one, without floating point.
        let part = (nanos * spread * u128::from(self.next() >> 8)) >> 56;
        let nanos = (nanos * 75 + part) / 100;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand intervals of 1 s fall into each hundredth from 70 to 104 %.
    fn shares(multiplier: u8) -> Vec<usize> {
        let mut jitter = Jitter::new(7);
        let multiplier = NonZeroU8::new(multiplier).unwrap();
        let mut shares = vec![0; 35];
        for _ in 0..1000 {
            let interval = jitter.shorten(Duration::from_secs(1), multiplier);
            shares[usize::try_from(interval.as_millis() / 10).unwrap() - 70] += 1;
        }
        shares
    }

    #[test]
    fn intervals_are_spread_over_75_to_100_percent() {
        let shares = shares(3);
        assert_eq!(shares[..5], [0; 5]);
        assert!(shares[5..30].iter().all(|&n| n > 20), "{shares:?}");
        assert_eq!(shares[30..], [0; 5]);
    }

    #[test]
    fn when_no_packet_may_be_missed_they_stay_below_90_percent() {
        let shares = shares(1);
        assert_eq!(shares[..5], [0; 5]);
        assert!(shares[5..20].iter().all(|&n| n > 30), "{shares:?}");
        assert_eq!(shares[20..], [0; 15]);
    }

    #[test]
    fn the_longest_interval_that_can_be_said_is_no_trouble() {
        let longest = Duration::from_micros(u64::from(u32::MAX));
        let interval = Jitter::new(1).shorten(longest, NonZeroU8::MIN);
        assert!(interval < longest && interval > longest / 2);
    }
}
