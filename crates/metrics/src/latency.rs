//! A histogram of counts that others have made: a commit knows how many of its records fell into
//! which bucket, so a batch of a hundred thousand costs fourteen additions.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto;

/// Upper bucket edges of `adpipe_event_latency_seconds`, inclusive; one at exactly 5 answers "over 5
/// s?". Values beyond the last have their own bucket.
pub const LATENCY_BUCKETS_S: [f64; 13] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Records in each bucket, and beyond.
pub type LatencyBuckets = [u64; LATENCY_BUCKETS_S.len() + 1];

#[derive(Debug, Default)]
struct State {
    /// False until its process has a reason to export it.
    is_known: bool,
    buckets: LatencyBuckets,
    sum_s: f64,
}

/// The histogram. Clones count into the same.
#[derive(Debug, Clone)]
pub(crate) struct LatencyHistogram {
    desc: Desc,
    state: Arc<Mutex<State>>,
}

impl LatencyHistogram {
    pub fn new(name: &str, help: &str) -> Result<LatencyHistogram, prometheus::Error> {
        let desc = Desc::new(name.to_owned(), help.to_owned(), Vec::new(), Default::default())?;
        Ok(LatencyHistogram { desc, state: Arc::default() })
    }

    /// Exports it from here on.
    pub fn begin(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_known = true;
    }

    /// Adds records, and the seconds that all of them took together.
    pub fn add(&self, records: &LatencyBuckets, sum_s: f64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_known = true;
        state.sum_s += sum_s;
        for (mine, more) in state.buckets.iter_mut().zip(records) {
            *mine += more;
        }
    }
}

impl Collector for LatencyHistogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(proto::MetricType::HISTOGRAM);
        if !state.is_known {
            // The registry leaves out a family without metrics.
            return vec![family];
        }
        let mut histogram = proto::Histogram::default();
        let mut below = 0;
        let mut buckets = Vec::with_capacity(LATENCY_BUCKETS_S.len());
        for (edge, records) in LATENCY_BUCKETS_S.iter().zip(state.buckets) {
            below += records;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*edge);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        histogram.set_bucket(buckets);
        histogram.set_sample_count(state.buckets.iter().sum());
        histogram.set_sample_sum(state.sum_s);
        let mut metric = proto::Metric::default();
        metric.set_histogram(histogram);
        family.set_metric(vec![metric]);
        vec![family]
    }
}
