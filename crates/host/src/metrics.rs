//! What an operator watches of a host, as Prometheus reads it (OpenMetrics text). Counting costs an atomic addition; whatever has
//! a value of its own is read when somebody asks.

use crate::dispatch::Load;
use cryptlet_primitives::{FabricAnswer, FabricFault};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::time::Duration;

/// Everything that is counted while a host runs. Any thread may count.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Outcome, Counter>,
    call_seconds: Histogram,
    running: Gauge,
    waiting: Gauge,
    answers_kept: Gauge,
    instances: Gauge,
    draining: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("cryptlet_host"),
            calls: Family::default(),
            // 50 µs to 26 s: each step doubles.
            call_seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 20)),
            running: Gauge::default(),
            waiting: Gauge::default(),
            answers_kept: Gauge::default(),
            instances: Gauge::default(),
            draining: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let outcomes = "Calls that ended, by what came of them: Answered, or the reason of the fault";
        registry.register("calls", outcomes, self.calls.clone());
        registry.register("call_seconds", "From a call's arrival to its end", self.call_seconds.clone());
        registry.register("calls_running", "Calls that run", self.running.clone());
        registry.register("calls_waiting", "Calls that wait for a place", self.waiting.clone());
        registry.register("answers_kept", "Live calls whose answer is kept", self.answers_kept.clone());
        registry.register("instances", "Instances that run", self.instances.clone());
        registry.register("draining", "1 while new calls are refused", self.draining.clone());
    }

    pub(crate) fn call_ended(&self, reply: &Result<FabricAnswer, FabricFault>, time: Duration) {
        let outcome = match reply {
            Ok(_) => "Answered".to_owned(),
            Err(fault) => format!("{:?}", fault.reason),
        };
        self.calls.get_or_create(&Outcome { outcome }).inc();
        self.call_seconds.observe(time.as_secs_f64());
    }

    /// The page.
    pub(crate) fn render(&self, load: Load, instances: usize) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.running.set(count(load.running));
        self.waiting.set(count(load.waiting));
        self.answers_kept.set(count(load.answers_kept));
        self.instances.set(count(instances));
        self.draining.set(i64::from(load.is_draining));
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a string does not fail");
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptlet_primitives::UnavailableReason;

    #[test]
    fn every_call_is_counted_under_what_came_of_it() {
        let metrics = Metrics::default();
        for _ in 0..3 {
            let fault = FabricFault::new(UnavailableReason::Overloaded, "busy");
            metrics.call_ended(&Err(fault), Duration::from_millis(1));
        }
        let load = Load { running: 2, is_draining: true, ..Load::default() };
        let page = metrics.render(load, 7);
        for line in [
            "cryptlet_host_calls_total{outcome=\"Overloaded\"} 3",
            "cryptlet_host_call_seconds_count 3",
            "cryptlet_host_calls_running 2",
            "cryptlet_host_instances 7",
            "cryptlet_host_draining 1",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
    }
}
