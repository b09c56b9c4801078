//! How a host is set up. Every bound is here, with its unit in its name.

use crate::{answers::Durability, error::HostError};
use std::{path::PathBuf, time::Duration};

/// Settings of a host.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Where it keeps everything.
    pub folder: PathBuf,
    /// `host:port` of its door, as nodes reach it: goes into the descriptor.
    pub endpoints: Vec<String>,
    /// DNS names and IP addresses of its certificate; the hosts of `endpoints` are added.
    pub names: Vec<String>,

    /// Calls that run at one time.
    pub calls_max: usize,
    /// Calls that wait beyond those; further ones are told that the host is overloaded.
    pub queue_max: usize,
    /// Of those that wait, calls of one contract. Contracts are served in turn.
    pub queue_per_contract_max: usize,
    /// Longest a call may take, its wait included, whatever its caller says.
    pub call_timeout: Duration,
    /// Longest input of a call, in bytes.
    pub input_bytes_max: usize,
    /// Longest output of a call, in bytes.
    pub output_bytes_max: u32,
    /// Most compute units of a call.
    pub units_max: u64,

    /// Instances this host runs.
    pub instances_max: usize,
    /// Instances it starts of one Contract Cryptlet.
    pub instances_per_contract_max: u16,
    /// Least isolation of anything it runs (0 none, 1 process, 2 vm, 3 enclave), whatever the code asks for.
    pub isolation_min: u8,
    /// Blocks for which an instance's keys count, from its birth.
    pub key_lifetime_blocks: u64,
    /// Seconds for which the host's evidence counts.
    pub evidence_lifetime_seconds: u64,
    /// Blocks for which a result counts, from its anchor: 1 to 256.
    pub result_lifetime_blocks: u64,
    /// Seconds for which a descriptor counts.
    pub descriptor_lifetime_seconds: u64,

    /// Bytes of answers kept.
    pub answers_bytes_max: u64,
    /// What an answer must outlive before it is sent.
    pub durability: Durability,

    /// Connections open at one time.
    pub connections_max: usize,
    /// Calls under way on one connection.
    pub streams_per_connection_max: u32,
    /// Longest a handshake may take.
    pub handshake_timeout: Duration,
}

impl HostConfig {
    /// The defaults, with everything kept in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            folder: folder.into(),
            endpoints: vec!["127.0.0.1:9443".to_owned()],
            names: vec!["localhost".to_owned()],
            // More than run at once: the rest wait for a worker, or share a flush of the log.
            calls_max: 16 * cores,
            queue_max: 2048,
            queue_per_contract_max: 1024,
            call_timeout: Duration::from_secs(60),
            input_bytes_max: 1 << 20,
            output_bytes_max: 1 << 20,
            units_max: 100_000_000,
            instances_max: 1024,
            instances_per_contract_max: 5,
            isolation_min: 0,
            key_lifetime_blocks: 10_000_000,
            evidence_lifetime_seconds: 365 * 24 * 60 * 60,
            result_lifetime_blocks: 256,
            descriptor_lifetime_seconds: 365 * 24 * 60 * 60,
            answers_bytes_max: 256 << 20,
            durability: Durability::Machine,
            connections_max: 256,
            streams_per_connection_max: 512,
            handshake_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), HostError> {
        let refuse = |setting, value: String, expected| Err(HostError::Setting { setting, value, expected });
        if !(1..=256).contains(&self.result_lifetime_blocks) {
            let value = self.result_lifetime_blocks.to_string();
            return refuse("result_lifetime_blocks", value, "it must be 1 to 256, the reach of an anchor");
        }
        if self.calls_max == 0 {
            return refuse("calls_max", "0".to_owned(), "it must be at least 1");
        }
        if self.isolation_min > 3 {
            return refuse("isolation_min", self.isolation_min.to_string(), "it must be 0 (none) to 3 (enclave)");
        }
        if self.endpoints.is_empty() {
            return refuse(
                "endpoints",
                "empty".to_owned(),
                "name at least one host:port at which nodes reach this host",
            );
        }
        if self.answers_bytes_max < 1 << 16 {
            return refuse("answers_bytes_max", self.answers_bytes_max.to_string(), "it must be at least 65536");
        }
        Ok(())
    }

    /// Everything the host's certificate must name.
    pub(crate) fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        for endpoint in &self.endpoints {
            let host = endpoint.rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            if !names.contains(&host) {
                names.push(host);
            }
        }
        names
    }

    /// Largest message of the secure channel, in bytes.
    pub(crate) fn message_bytes_max(&self) -> usize {
        const ENVELOPE_BYTES: usize = 4096;
        self.input_bytes_max.max(self.output_bytes_max as usize) + ENVELOPE_BYTES
    }
}
