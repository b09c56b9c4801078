//! `eth_estimateGas`.

use super::{
    simulate::{SimulationError, SimulationRequest},
    start::Shared,
};
use std::sync::Arc;

pub(crate) async fn estimate_gas(shared: Arc<Shared>, request: SimulationRequest) -> Result<u64, SimulationError> {
    let _ = (shared, request);
    Err(SimulationError::Stopped)
}
