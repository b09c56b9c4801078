#![doc = include_str!("../README.md")]

pub mod evidence;
pub mod record;
pub mod registry;
pub mod signature;

pub use evidence::{AppraisalTerms, EvidenceFault, ToleratedTcb, appraise, appraise_under};
pub use record::{BlockFacts, RecordFault, RecoveredRecord, verify_record};
pub use registry::{
    AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    SimulationPolicy,
};
pub use signature::{SignatureFault, recover};
