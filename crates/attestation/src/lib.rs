#![doc = include_str!("../README.md")]

pub mod evidence;
pub mod record;
pub mod registry;
pub mod signature;

pub use evidence::{EvidenceFault, appraise};
pub use record::{BlockFacts, RecordFault, RecoveredRecord, verify_record};
pub use registry::{CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, PolicyEntry, SimulationPolicy};
pub use signature::{SignatureFault, recover};
