//! The operator's requests: publish, register, restart, confirm, look up. Unlike calls they have no consensus reasons, so
//! they fail with a [`HostError`].

use super::{ENVELOPE_BYTES, FabricClient, describe, is_transport};
use crate::{
    error::HostError,
    package::{CODE_BYTES_MAX, CONFIG_BYTES_MAX, HEADER_BYTES_MAX, INTERFACE_BYTES_MAX, Package, PackageRef},
    registration::{ChainFacts, Registered},
    wire::{
        self, WireError, anchor_message, domain_message,
        proto::{self, fabric_client, lookup_client, operations_client, registration_client},
        raw,
    },
};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::{CodeDigest, CryptletId, FabricDomain, RegistrationId};
use serde::Serialize;
use std::time::Duration;
use tonic::{Code, Status};

/// Starting a container may mean compiling a large component.
const START_TIMEOUT: Duration = Duration::from_secs(120);
const LIST_BYTES_MAX: usize = 64 << 20;

/// How a host is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthReport {
    /// Does it serve?
    pub is_serving: bool,
    /// Instances that run.
    pub instances: u32,
    /// Calls that run.
    pub calls_running: u32,
    /// Calls that wait.
    pub calls_waiting: u32,
    /// Live calls whose answer is kept.
    pub answers_kept: u64,
    /// Answers given since its start.
    pub answers_given: u64,
    /// Faults given since its start.
    pub faults_given: u64,
    /// Are new calls refused?
    pub is_draining: bool,
}

/// What a host is, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// How it is doing.
    #[serde(flatten)]
    pub health: HealthReport,
    /// Address of its key.
    pub address: Address,
    /// Where its keys are.
    pub vault: String,
    /// The chain it serves, if it serves one.
    pub domain: Option<FabricDomain>,
    /// `host:port` of its doors.
    pub endpoints: Vec<String>,
    /// How its containers are kept apart: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u32,
    /// What runs the code, exactly.
    pub engine_profile: String,
    /// Unix time at which the certificate of its door ends.
    pub certificate_expires: u64,
    /// Registrations that are not known to be on the chain.
    pub registrations_pending: u32,
}

/// A cryptlet that runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CryptletReport {
    /// Its identifier.
    pub id: CryptletId,
    /// Its name.
    pub name: String,
    /// The code it runs.
    pub code_digest: CodeDigest,
    /// The package that came from.
    pub package: B256,
    /// How its instances are kept apart: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u32,
    /// Its contract; zero for a utility cryptlet.
    pub bound_contract: Address,
    /// Its instances.
    pub instances: Vec<InstanceReport>,
}

/// An instance that runs on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceReport {
    /// Its identifier.
    pub registration_id: RegistrationId,
    /// The address it signs with.
    pub signer: Address,
    /// Generation of its keys.
    pub key_epoch: u64,
    /// Block after which its keys no longer count.
    pub not_after_block: u64,
    /// `pending`, `presumed` or `active`.
    pub state: String,
}

/// A package that a host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageReport {
    /// Its identity.
    pub digest: B256,
    /// Its name.
    pub name: String,
    /// SHA-256 of the code layer.
    pub code_layer_digest: B256,
    /// SHA-256 of `header.sol`.
    pub header_digest: B256,
    /// SHA-256 of the configuration.
    pub config_digest: B256,
    /// Length of the code.
    pub code_bytes: u64,
    /// `header.sol`.
    pub header: String,
    /// The ABI, as JSON.
    pub interface_json: String,
    /// The configuration.
    pub config_json: String,
}

impl FabricClient {
    /// Sends a package to the host.
    pub async fn publish(&self, package: &Package) -> Result<B256, HostError> {
        let upload = proto::PackageUpload {
            manifest: package.manifest().0.clone(),
            blobs: package.blobs().into_iter().map(|blob| blob.0.clone()).collect(),
        };
        let request = proto::PublishRequest { package: Some(upload) };
        let response = self.operate(self.registration().publish(request)).await?;
        Ok(wire::word("digest", &response.digest)?)
    }

    /// Starts an instance of a utility cryptlet; see [`Host::register`](crate::Host::register).
    pub async fn register(
        &self,
        package: &PackageRef,
        publisher: Address,
        chain: ChainFacts,
    ) -> Result<Registered, HostError> {
        let package = match package {
            PackageRef::Digest(digest) => proto::register_request::Package::Digest(raw(digest)),
            PackageRef::Name(name) => proto::register_request::Package::Name(name.clone()),
        };
        self.start(Some(package), publisher, chain, false).await
    }

    /// Starts the host's factory; see [`Host::register_factory`](crate::Host::register_factory).
    pub async fn register_factory(&self, publisher: Address, chain: ChainFacts) -> Result<Registered, HostError> {
        self.start(None, publisher, chain, true).await
    }

    /// Starts again what ran before; see [`Host::restart`](crate::Host::restart).
    pub async fn restart(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        let request = proto::RestartRequest {
            domain: Some(domain_message(chain.domain)),
            anchor: Some(anchor_message(chain.anchor)),
        };
        let response = self.operate(self.registration().restart(request)).await?;
        registrations(response)
    }

    /// Registrations that an operator has to send to the chain.
    pub async fn pending_registrations(&self) -> Result<Vec<Registered>, HostError> {
        let response = self.operate(self.registration().pending(proto::PendingRequest {})).await?;
        registrations(response)
    }

    /// Says that a registration is on the chain: the instance may answer.
    pub async fn confirm_registration(&self, registration: RegistrationId) -> Result<(), HostError> {
        let request = proto::ConfirmRequest { registration_id: raw(registration.0) };
        self.operate(self.registration().confirm(request)).await.map(drop)
    }

    /// A cryptlet that the host runs.
    pub async fn cryptlet(&self, id: CryptletId) -> Result<CryptletReport, HostError> {
        let request = proto::CryptletQuery { cryptlet_id: raw(id.0) };
        let info = self.operate(self.lookup().cryptlet(request)).await?;
        Ok(info.try_into()?)
    }

    /// All cryptlets that the host runs.
    pub async fn cryptlets(&self) -> Result<Vec<CryptletReport>, HostError> {
        let response = self.operate(self.lookup().list(proto::ListRequest {})).await?;
        response.cryptlets.into_iter().map(|info| Ok(info.try_into()?)).collect()
    }

    /// A package that the host has.
    pub async fn package(&self, package: &PackageRef) -> Result<PackageReport, HostError> {
        let package = match package {
            PackageRef::Digest(digest) => proto::package_query::Package::Digest(raw(digest)),
            PackageRef::Name(name) => proto::package_query::Package::Name(name.clone()),
        };
        let info = self.operate(self.lookup().package(proto::PackageQuery { package: Some(package) })).await?;
        Ok(info.try_into()?)
    }

    /// How the host is doing.
    pub async fn health(&self) -> Result<HealthReport, HostError> {
        let mut client = fabric_client::FabricClient::new(self.channel.clone());
        Ok(self.operate(client.health(proto::HealthRequest {})).await?.into())
    }

    /// What the host is, for its operator.
    pub async fn status(&self) -> Result<StatusReport, HostError> {
        let status = self.operate(self.operations().status(proto::StatusRequest {})).await?;
        Ok(StatusReport {
            health: status.health.unwrap_or_default().into(),
            address: wire::address("host_key", &status.host_key)?,
            vault: status.vault,
            domain: status.domain.map(wire::domain).transpose()?,
            endpoints: status.endpoints,
            isolation: status.isolation,
            engine_profile: status.engine_profile,
            certificate_expires: status.certificate_expires,
            registrations_pending: status.registrations_pending,
        })
    }

    /// Has the host refuse new calls, and waits so long for those under way.
    pub async fn drain(&self, wait: Duration) -> Result<HealthReport, HostError> {
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = proto::DrainRequest { cancel: false, wait_ms };
        Ok(self.operate(self.operations().drain(request)).await?.into())
    }

    /// Has the host take calls again.
    pub async fn cancel_drain(&self) -> Result<HealthReport, HostError> {
        let request = proto::DrainRequest { cancel: true, wait_ms: 0 };
        Ok(self.operate(self.operations().drain(request)).await?.into())
    }

    /// Has the host make its door's certificate anew; see [`Host::rotate_certificate`](crate::Host::rotate_certificate).
    pub async fn rotate_certificate(&self) -> Result<(B256, u64), HostError> {
        let response = self.operate(self.operations().rotate_certificate(proto::RotateCertificateRequest {})).await?;
        Ok((wire::word("fingerprint", &response.fingerprint)?, response.expires))
    }

    /// Has the host start instances with new keys; see [`Host::rotate_instances`](crate::Host::rotate_instances).
    pub async fn rotate_instances(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        let request = proto::RotateInstancesRequest {
            domain: Some(domain_message(chain.domain)),
            anchor: Some(anchor_message(chain.anchor)),
        };
        registrations(self.operate(self.operations().rotate_instances(request)).await?)
    }

    /// Has the host sign the keys of its instances for longer; see [`Host::renew_instances`](crate::Host::renew_instances).
    pub async fn renew_instances(&self, chain: ChainFacts, within_blocks: u64) -> Result<Vec<Registered>, HostError> {
        let request = proto::RenewInstancesRequest {
            domain: Some(domain_message(chain.domain)),
            anchor: Some(anchor_message(chain.anchor)),
            within_blocks,
        };
        registrations(self.operate(self.operations().renew_instances(request)).await?)
    }

    async fn start(
        &self,
        package: Option<proto::register_request::Package>,
        publisher: Address,
        chain: ChainFacts,
        is_factory: bool,
    ) -> Result<Registered, HostError> {
        let request = proto::RegisterRequest {
            package,
            publisher: raw(publisher),
            domain: Some(domain_message(chain.domain)),
            anchor: Some(anchor_message(chain.anchor)),
            is_factory,
        };
        let registered = self.operate(self.registration().register(request)).await?;
        Ok(registered.try_into()?)
    }

    fn registration(&self) -> registration_client::RegistrationClient<tonic::transport::Channel> {
        let package_bytes = CODE_BYTES_MAX + HEADER_BYTES_MAX + INTERFACE_BYTES_MAX + CONFIG_BYTES_MAX;
        registration_client::RegistrationClient::new(self.channel.clone())
            .max_decoding_message_size(LIST_BYTES_MAX)
            .max_encoding_message_size(package_bytes as usize + 16 * ENVELOPE_BYTES)
    }

    fn operations(&self) -> operations_client::OperationsClient<tonic::transport::Channel> {
        operations_client::OperationsClient::new(self.channel.clone()).max_decoding_message_size(LIST_BYTES_MAX)
    }

    fn lookup(&self) -> lookup_client::LookupClient<tonic::transport::Channel> {
        lookup_client::LookupClient::new(self.channel.clone()).max_decoding_message_size(LIST_BYTES_MAX)
    }

    async fn operate<T>(&self, call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, HostError> {
        match tokio::time::timeout(START_TIMEOUT, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) if is_transport(&status) || status.code() == Code::Unavailable => {
                Err(HostError::Unreachable(format!("{}: {}", self.line.name(), describe(&status))))
            }
            Ok(Err(status)) => Err(HostError::Refused(describe(&status))),
            Err(_) => Err(HostError::Unreachable(match self.line.trouble() {
                Some(trouble) => trouble,
                None => format!("{} did not answer within {} s", self.line.name(), START_TIMEOUT.as_secs()),
            })),
        }
    }
}

fn registrations(response: proto::PendingResponse) -> Result<Vec<Registered>, HostError> {
    response.registrations.into_iter().map(|registered| Ok(registered.try_into()?)).collect()
}

impl From<proto::HealthResponse> for HealthReport {
    fn from(health: proto::HealthResponse) -> Self {
        Self {
            is_serving: health.is_serving,
            instances: health.instances,
            calls_running: health.calls_running,
            calls_waiting: health.calls_waiting,
            answers_kept: health.answers_kept,
            answers_given: health.answers_given,
            faults_given: health.faults_given,
            is_draining: health.is_draining,
        }
    }
}

impl TryFrom<proto::CryptletInfo> for CryptletReport {
    type Error = WireError;

    fn try_from(info: proto::CryptletInfo) -> Result<Self, WireError> {
        let instances = info.instances.into_iter().map(InstanceReport::try_from);
        Ok(Self {
            id: CryptletId(wire::word("cryptlet_id", &info.cryptlet_id)?),
            name: info.name,
            code_digest: CodeDigest(wire::word("code_digest", &info.code_digest)?),
            package: wire::word("package_digest", &info.package_digest)?,
            isolation: info.isolation,
            bound_contract: wire::address("bound_contract", &info.bound_contract)?,
            instances: instances.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<proto::InstanceInfo> for InstanceReport {
    type Error = WireError;

    fn try_from(info: proto::InstanceInfo) -> Result<Self, WireError> {
        Ok(Self {
            registration_id: RegistrationId(wire::word("registration_id", &info.registration_id)?),
            signer: wire::address("signer", &info.signer)?,
            key_epoch: info.key_epoch,
            not_after_block: info.not_after_block,
            state: info.state,
        })
    }
}

impl TryFrom<proto::PackageInfo> for PackageReport {
    type Error = WireError;

    fn try_from(info: proto::PackageInfo) -> Result<Self, WireError> {
        Ok(Self {
            digest: wire::word("digest", &info.digest)?,
            name: info.name,
            code_layer_digest: wire::word("code_layer_digest", &info.code_layer_digest)?,
            header_digest: wire::word("header_digest", &info.header_digest)?,
            config_digest: wire::word("config_digest", &info.config_digest)?,
            code_bytes: info.code_bytes,
            header: info.header,
            interface_json: info.interface_json,
            config_json: info.config_json,
        })
    }
}
