//! What an operator watches: counters and histograms of the chain, the calls of cryptlets and JSON-RPC, as Prometheus reads
//! them (OpenMetrics text). Counting costs an atomic addition; whatever has a value of its own (the head, the pool, the
//! process) is read when somebody asks.
//!
//! Names start with `cryptlet_`; times are in seconds, as Prometheus wants them.

mod gauges;
mod process;

use crate::{
    service::{NodeHandle, Shared},
    types::ExecutedBlock,
};
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
use std::{sync::Arc, time::Duration};

/// Media type of [`NodeHandle::metrics`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted while a node runs. Any thread may count.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    blocks: Counter,
    transactions: Counter,
    gas: Counter,
    records: Counter,
    rewinds: Counter,
    block_seconds: Family<Phase, Histogram>,
    calls: Family<Outcome, Counter>,
    call_seconds: Histogram,
    requests: Family<Request, Counter>,
    request_seconds: Family<Method, Histogram>,
    connections: Gauge,
}

/// A part of making a block.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    /// 0, or the code of the JSON-RPC error.
    code: i32,
}

impl Default for Metrics {
    fn default() -> Self {
        // 50 µs to 26 s, and 20 µs to 42 s: each step doubles.
        let of_blocks = || Histogram::new(exponential_buckets(50e-6, 2.0, 20));
        let of_requests = || Histogram::new(exponential_buckets(20e-6, 4.0, 12));
        let mut metrics = Self {
            registry: Registry::with_prefix("cryptlet"),
            blocks: Counter::default(),
            transactions: Counter::default(),
            gas: Counter::default(),
            records: Counter::default(),
            rewinds: Counter::default(),
            block_seconds: Family::new_with_constructor(of_blocks),
            calls: Family::default(),
            call_seconds: of_blocks(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(of_requests),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Gives every metric its name. The registry adds `_total` to counters, as OpenMetrics wants it.
    fn register(&mut self) {
        let chain = self.registry.sub_registry_with_prefix("chain");
        chain.register("blocks", "Blocks this node made", self.blocks.clone());
        chain.register("transactions", "Transactions in those blocks", self.transactions.clone());
        chain.register("gas", "Gas they used", self.gas.clone());
        chain.register("records", "Cryptlet records in them", self.records.clone());
        chain.register("rewinds", "Times the chain was rewound", self.rewinds.clone());
        let phases = self.block_seconds.clone();
        chain.register(
            "block_seconds",
            "Making a block: executing and sealing it (execute), writing it (store)",
            phases,
        );
        let calls = self.registry.sub_registry_with_prefix("calls");
        calls.register("attempts", "Attempts to get a cryptlet's answer, by what came of them", self.calls.clone());
        calls.register("seconds", "From asking the fabric until its answer was judged", self.call_seconds.clone());
        let rpc = self.registry.sub_registry_with_prefix("rpc");
        rpc.register("requests", "JSON-RPC requests, by method and error code (0: none)", self.requests.clone());
        rpc.register("request_seconds", "From a request's dispatch to its answer", self.request_seconds.clone());
        rpc.register("connections", "Connections now, HTTP and WebSocket", self.connections.clone());
    }

    pub(crate) fn block_made(&self, block: &ExecutedBlock, execute: Duration, store: Duration) {
        self.blocks.inc();
        self.transactions.inc_by(block.block.body.transactions.len() as u64);
        self.gas.inc_by(block.block.header.gas_used);
        self.records.inc_by(block.records.0.iter().map(|group| group.records.len() as u64).sum());
        for (phase, time) in [("execute", execute), ("store", store)] {
            self.block_seconds.get_or_create(&Phase { phase }).observe(time.as_secs_f64());
        }
    }

    pub(crate) fn rewound(&self) {
        self.rewinds.inc();
    }

    /// An attempt to get an answer ended: `outcome` is `answered`, or the reason why not.
    pub(crate) fn call_ended(&self, outcome: String, time: Duration) {
        self.calls.get_or_create(&Outcome { outcome }).inc();
        self.call_seconds.observe(time.as_secs_f64());
    }

    /// A request was answered. `method` is one this node has; what it does not have is counted under one name, so that
    /// strangers cannot fill the memory with names of theirs.
    pub(crate) fn request_answered(&self, method: Option<&'static str>, code: i32, time: Duration) {
        let method = method.unwrap_or("unknown");
        self.requests.get_or_create(&Request { method, code }).inc();
        self.request_seconds.get_or_create(&Method { method }).observe(time.as_secs_f64());
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(&self) -> ConnectionGuard {
        self.connections.inc();
        ConnectionGuard(self.connections.clone())
    }

    fn encode(&self, shared: &Shared) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode_registry(&mut page, &self.registry)?;
        let mut now = Registry::with_prefix("cryptlet");
        gauges::register(&mut now, shared);
        text::encode_registry(&mut page, &now)?;
        let mut process = Registry::with_prefix("process");
        process::register(&mut process);
        text::encode_registry(&mut page, &process)?;
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

/// A connection that counts as open.
#[derive(Debug)]
pub(crate) struct ConnectionGuard(Gauge);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl NodeHandle {
    /// The node's metrics as of now, in OpenMetrics text ([`METRICS_CONTENT_TYPE`]).
    pub fn metrics(&self) -> String {
        self.shared.metrics.encode(&self.shared).expect("a string takes whatever is written to it")
    }

    pub(crate) fn meters(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }
}
