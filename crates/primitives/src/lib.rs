#![doc = include_str!("../README.md")]

pub mod abi;
pub mod dev_edits;
pub mod fabric;
pub mod ids;
pub mod invocation;
pub mod limits;
pub mod names;
pub mod record;
pub mod refusal;
pub mod signature;
pub mod system;
pub mod typed_data;

pub use dev_edits::{
    AccountEdit, DEV_EDITS_BYTES_MAX, DEV_EDITS_REQUEST_TYPE, DevEdits, DevEditsError, impersonated_sender,
    impersonated_signature,
};
pub use fabric::{FabricAnswer, FabricFault, UnavailableReason};
pub use ids::{CodeDigest, CryptletId, InvocationKey, Measurement, RegistrationId};
pub use invocation::{Invocation, InvocationMode};
pub use limits::FabricLimits;
pub use record::{BlockRecords, CRYPTLET_REQUEST_TYPE, Record, RecordDecodeError, TransactionRecords};
pub use refusal::RefusalCode;
pub use signature::Signature65;
pub use typed_data::{
    ContainerKind, CryptletRequest, CryptletResult, Envelope, FabricDomain, FabricVersion, InstanceAuthorization,
    InstanceKeys, InstanceRegistration, ResultStatus,
};
