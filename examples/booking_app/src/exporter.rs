//! How the application's metrics reach Prometheus.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Seconds, from an inline listener's nanoseconds to the time-out of a lane.
const BUCKETS: [f64; 13] = [
    1e-6, 1e-5, 1e-4, 0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// Gives every time as a histogram. Without buckets they are summaries, which cannot be added up over
/// processes.
///
/// # Errors
///
/// When the exporter does not take the buckets.
pub fn exporter() -> Result<PrometheusBuilder, BuildError> {
    let seconds = Matcher::Suffix("_seconds".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)
}
