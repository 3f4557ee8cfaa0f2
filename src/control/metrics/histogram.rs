//! Histograms whose steps were counted by somebody else.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Labels;

/// Counts by step, and the sum of what was counted.
#[derive(Debug)]
pub(super) struct Steps {
    /// The upper end of each step, and what is in it.
    counts: Vec<(f64, u64)>,
    sum: f64,
}

impl Steps {
    /// `ends` in parts of a second, `unit` of them; `counts` has one more, for what is beyond.
    pub(super) fn of(ends: &[u64], unit: f64, counts: &[u64], sum: Duration) -> Steps {
        #[expect(clippy::cast_precision_loss, reason = "the ends of steps are small")]
        let ends = ends
            .iter()
            .map(|end| *end as f64 / unit)
            .chain([f64::INFINITY]);
        Steps {
            counts: ends.zip(counts.iter().copied()).collect(),
            sum: sum.as_secs_f64(),
        }
    }
}

/// A histogram that was counted elsewhere.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) values: Vec<(Labels, Steps)>,
}

impl Collector for Histogram {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let kind = MetricType::Histogram;
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, kind)?;
        for (labels, steps) in &self.values {
            let count = steps.counts.iter().map(|(_, count)| count).sum();
            let mut one = metric.encode_family(labels)?;
            one.encode_histogram::<NoLabelSet>(steps.sum, count, &steps.counts, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::super::label;
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_end() {
        let mut registry = Registry::with_prefix("vipd");
        registry.register_collector(Box::new(Histogram {
            name: "x_seconds",
            help: "x",
            values: vec![(
                vec![label("check", "TCP_CHECK")],
                Steps::of(&[1, 2], 1e3, &[3, 1, 1], Duration::from_millis(20)),
            )],
        }));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let expected = "\
# HELP vipd_x_seconds x
# TYPE vipd_x_seconds histogram
vipd_x_seconds_sum{check=\"TCP_CHECK\"} 0.02
vipd_x_seconds_count{check=\"TCP_CHECK\"} 5
vipd_x_seconds_bucket{le=\"0.001\",check=\"TCP_CHECK\"} 3
vipd_x_seconds_bucket{le=\"0.002\",check=\"TCP_CHECK\"} 4
vipd_x_seconds_bucket{le=\"+Inf\",check=\"TCP_CHECK\"} 5
# EOF
";
        assert_eq!(text, expected);
    }
}
