//! What has a value of its own: read from the node when somebody asks.

use crate::service::Shared;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Registers the values as of now.
pub(super) fn register(registry: &mut Registry, shared: &Shared) {
    let set = |registry: &mut Registry, name: &str, help: &str, value: u64| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    let chain = registry.sub_registry_with_prefix("chain");
    // A store that cannot be read has its own alarm; the rest of the page is still worth having.
    if let Ok(head) = shared.chain.head() {
        set(chain, "head_number", "Height of the head", head.number);
        set(chain, "head_timestamp_seconds", "Unix time of the head", head.timestamp);
        set(chain, "head_gas_used", "Gas used by the head", head.gas_used);
        set(chain, "head_base_fee_wei", "Base fee of the head", head.base_fee_per_gas.unwrap_or_default());
    }
    let pool = registry.sub_registry_with_prefix("pool");
    let status = shared.pool.status();
    let transactions = Family::<State, Gauge>::default();
    for (state, count) in [("pending", status.pending), ("queued", status.queued), ("parked", status.parked)] {
        transactions.get_or_create(&State { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    pool.register("transactions", "Transactions of the pool; parked ones wait for a cryptlet", transactions);
}
