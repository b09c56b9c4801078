//! A filter of logs as geth reads it.

use alloy::rpc::types::{Filter, Log, pubsub::Params};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::ops::{Deref, RangeInclusive};

/// A filter, with what the library's type forgets of it: positions of `topics` that take anything still want a topic there, so
/// `[null, null, null]` matches logs with at least three (geth: `filterLogs`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogFilter {
    filter: Filter,
    topics_min: usize,
}

impl LogFilter {
    /// Does it want this log, if it wants the block?
    pub(crate) fn takes(&self, log: &alloy_primitives::Log) -> bool {
        log.topics().len() >= self.topics_min && self.filter.matches(log)
    }

    /// The same filter over these blocks, as a parameter of `eth_getLogs`.
    pub(crate) fn over(&self, blocks: &RangeInclusive<u64>) -> Value {
        let filter = self.filter.clone().from_block(*blocks.start()).to_block(*blocks.end());
        let mut request = serde_json::to_value(filter).expect("a filter is hex and lists");
        if let Some(topics) = request["topics"].as_array_mut() {
            topics.resize(topics.len().max(self.topics_min), Value::Null);
        }
        request
    }

    /// Takes out of `logs`, from `first` on, those with fewer topics than the filter has positions.
    pub(crate) fn keep_long_enough(&self, logs: &mut Vec<Log>, first: usize) {
        if self.topics_min > 0 {
            let added = logs.split_off(first);
            logs.extend(added.into_iter().filter(|log| log.topics().len() >= self.topics_min));
        }
    }
}

impl Deref for LogFilter {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        &self.filter
    }
}

impl From<Filter> for LogFilter {
    fn from(filter: Filter) -> Self {
        Self { filter, topics_min: 0 }
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        let topics_min = given["topics"].as_array().map_or(0, Vec::len);
        Ok(Self { filter: Filter::deserialize(given).map_err(D::Error::custom)?, topics_min })
    }
}

/// The second parameter of `eth_subscribe`.
#[derive(Debug)]
pub(crate) enum SubscriptionParams {
    /// A filter of logs.
    Logs(Box<LogFilter>),
    /// Anything else.
    Other(Params),
}

impl<'de> Deserialize<'de> for SubscriptionParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        Ok(match Params::deserialize(&given).map_err(D::Error::custom)? {
            Params::Logs(_) => Self::Logs(Box::new(LogFilter::deserialize(given).map_err(D::Error::custom)?)),
            other => Self::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_is_handed_on_as_it_was_read() {
        let (address, topic) = (format!("0x{}", "aa".repeat(20)), format!("0x{}", "bb".repeat(32)));
        let read = |given: &Value| LogFilter::deserialize(given).expect("a filter");
        for topics in
            [json!([]), json!([topic]), json!([null, [topic, topic.replace('b', "c")]]), json!([null, null, null])]
        {
            let given = json!({ "fromBlock": "0x1", "toBlock": "latest", "address": address, "topics": topics });
            let mut wanted = given.clone();
            (wanted["fromBlock"], wanted["toBlock"]) = (json!("0x5"), json!("0x9"));
            assert_eq!(read(&read(&given).over(&(5..=9))), read(&wanted), "{topics}");
        }
    }

    #[test]
    fn every_position_of_the_topics_counts() {
        let read = |topics: Value| serde_json::from_value::<LogFilter>(json!({ "topics": topics })).expect("a filter");
        assert_eq!(read(json!([])).topics_min, 0);
        assert_eq!(read(json!([null, null, null])).topics_min, 3);
        assert_eq!(read(json!([[]])).topics_min, 1);
        assert!(serde_json::from_value::<LogFilter>(json!({ "topics": [null, null, null, null, null] })).is_err());
    }
}
