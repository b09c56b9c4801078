//! A host inside a dev node.

use crate::{
    args::{Isolation, VaultArgs},
    host_parts::{free_port, host_parts},
};
use anyhow::Result;
use cryptlet_host::{DESCRIPTOR_PATH, Host, HostConfig, Role, Server};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

/// A host of this process, listening on this machine only. Its workers and its doors end with it.
pub(super) struct Embedded {
    pub(super) host: Host,
    pub(super) door: DevDoor,
    _servers: [Server; 2],
}

/// How `cryptlet register` reaches the host embedded in a dev node: like any other host, but the node hands out the
/// certificate to whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DevDoor {
    /// URL of the descriptor.
    pub(super) descriptor: String,
    /// Who signs it.
    pub(super) signature: String,
    /// An operator's certificate and key, as a PEM bundle.
    pub(super) identity: String,
}

impl Embedded {
    pub(super) async fn start(folder: &Path, workers: Option<usize>, isolation: Isolation) -> Result<Self> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = free_port(any_port)?;
        let config = HostConfig { endpoints: vec![listen.to_string()], ..HostConfig::new(folder) };
        let host = Host::start(config, host_parts(folder, &VaultArgs::default(), workers, isolation)?)?;
        let wire = host.serve_tls(listen).await?;
        let plate = host.serve_descriptor(any_port).await?;
        let identity = host.enroll("dev-operator", Role::Operator)?;
        let door = DevDoor {
            descriptor: format!("http://{}{DESCRIPTOR_PATH}", plate.address()),
            signature: host.address().to_string(),
            identity: identity.to_pem_bundle().to_string(),
        };
        Ok(Self { host, door, _servers: [wire, plate] })
    }
}
