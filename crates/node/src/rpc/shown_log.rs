//! Logs as they are shown, kept as JSON: writing it costs more than finding them.

use alloy::rpc::types::Log;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::sync::Arc;

/// A log in the words of `eth_getLogs`. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ShownLog(Arc<RawValue>);

impl ShownLog {
    pub(crate) fn of(log: &Log) -> Self {
        Self(serde_json::value::to_raw_value(log).expect("a log is hex and numbers").into())
    }
}

impl From<Box<RawValue>> for ShownLog {
    fn from(shown: Box<RawValue>) -> Self {
        Self(shown.into())
    }
}

impl Serialize for ShownLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::serialize(&self.0, serializer)
    }
}
