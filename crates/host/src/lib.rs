#![doc = include_str!("../README.md")]

mod admission;
mod answers;
mod channel;
mod client;
mod clock;
mod config;
mod descriptor;
mod dispatch;
mod error;
mod factory;
mod files;
mod host;
mod identity;
pub mod launch;
mod metrics;
pub mod package;
mod pages;
mod registration;
mod roster;
mod server;
mod service;
pub mod vault;
mod wire;

pub use answers::Durability;
pub use client::{
    ClientOptions, CryptletReport, FabricClient, HealthReport, InstanceReport, PackageReport, StatusReport,
    fetch_descriptor,
};
pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use config::HostConfig;
pub use descriptor::{DESCRIPTOR_PATH, DESCRIPTOR_VERSION, DescribedHost, Descriptor, DescriptorPin, SignedDescriptor};
pub use dispatch::Load;
pub use error::HostError;
pub use factory::{FACTORY_NAME, FACTORY_OUTPUT_BYTES_MAX, FACTORY_UNITS, factory_code_digest};
pub use host::{CryptletSummary, Host, HostParts, InstanceSummary, enroll_offline, federate_offline};
pub use identity::{ClientIdentity, Role};
pub use launch::{Anchor, RegionLauncher};
pub use package::{Package, PackageRef};
pub use pages::Page;
pub use registration::{ChainFacts, Registered};
pub use roster::InstanceState;
pub use server::Server;
pub use vault::{FileVault, KeyName, KmsUri, Pkcs11Uri, Pkcs11Vault, ScryptCost, SigningKey, Vault, forbid_core_dumps};
pub use wire::WireError;

/// A passphrase: kept from logs, wiped when dropped.
pub use age::secrecy::SecretString;
