//! The four doors and the plate beside them, as gRPC services of one host.

use crate::{
    error::HostError,
    host::{CryptletSummary, Host},
    identity::{Peer, Role},
    package::{Package, PackageRef},
    roster::InstanceState,
    wire::{
        chain_facts, domain_message,
        proto::{
            self, fabric_server::Fabric, factory_server::Factory, lookup_server::Lookup, operations_server::Operations,
            registration_server::Registration, secure_channel_server::SecureChannel,
        },
        raw, word,
    },
};
use alloy_primitives::Bytes;
use cryptlet_primitives::{CryptletId, Invocation, RegistrationId};
use std::{sync::Arc, time::Duration};
use tonic::{Request, Response, Status, async_trait};

/// Longest that the answer to `drain` waits.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(90);

type Reply<T> = Result<Response<T>, Status>;

/// Who is at the other end of a connection, as its transport knows.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The other end of a pipe within this process.
    InProcess,
    /// The holder of this certificate, which our authority signed.
    Certificate(Arc<[u8]>),
}

/// A host, as gRPC sees it.
#[derive(Clone, Debug)]
pub(crate) struct FabricService {
    host: Host,
}

impl FabricService {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    /// Who asks? Looked up at every call, so that who is expelled is out at once.
    fn peer<T>(&self, request: &Request<T>) -> Result<Peer, Status> {
        match request.extensions().get::<Caller>() {
            Some(Caller::InProcess) => Ok(Peer { name: "in-process".to_owned(), role: Role::Operator }),
            Some(Caller::Certificate(certificate)) => self.host.find_peer(certificate).ok_or_else(|| {
                Status::permission_denied("this certificate is not enrolled with this host, or its peer was expelled")
            }),
            None => Err(Status::unauthenticated("the connection says nothing about its peer")),
        }
    }

    fn operator<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match self.peer(request)? {
            Peer { role: Role::Operator, .. } => Ok(()),
            Peer { name, role: Role::Node } => Err(Status::permission_denied(format!(
                "peer {name:?} is enrolled as a node; this needs an operator's certificate"
            ))),
        }
    }

    async fn invoke(&self, request: Request<proto::InvokeRequest>) -> Reply<proto::InvokeResponse> {
        self.peer(&request)?;
        let invocation = Invocation::try_from(request.into_inner())?;
        Ok(Response::new(self.host.invoke(invocation).await.into()))
    }

    /// Runs what blocks off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Host) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, Status> {
        let host = self.host.clone();
        let done = tokio::task::spawn_blocking(move || work(&host)).await;
        done.map_err(|_| Status::internal("the request broke off inside the host"))?.map_err(status)
    }
}

#[async_trait]
impl SecureChannel for FabricService {
    async fn invoke(&self, request: Request<proto::InvokeRequest>) -> Reply<proto::InvokeResponse> {
        Self::invoke(self, request).await
    }
}

#[async_trait]
impl Factory for FabricService {
    async fn create(&self, request: Request<proto::InvokeRequest>) -> Reply<proto::InvokeResponse> {
        Self::invoke(self, request).await
    }
}

#[async_trait]
impl Registration for FabricService {
    async fn publish(&self, request: Request<proto::PublishRequest>) -> Reply<proto::PublishResponse> {
        self.operator(&request)?;
        let upload = request.into_inner().package.ok_or_else(|| Status::invalid_argument("package: is missing"))?;
        let digest = self
            .blocking(move |host| {
                let package = Package::from_blobs(Bytes(upload.manifest), upload.blobs.into_iter().map(Bytes))?;
                host.publish(&package)
            })
            .await?;
        Ok(Response::new(proto::PublishResponse { digest: raw(digest) }))
    }

    async fn register(&self, request: Request<proto::RegisterRequest>) -> Reply<proto::Registered> {
        self.operator(&request)?;
        let message = request.into_inner();
        let chain = chain_facts(message.domain, message.anchor)?;
        let publisher = crate::wire::address("publisher", &message.publisher)?;
        let wanted = match message.package {
            _ if message.is_factory => None,
            Some(proto::register_request::Package::Digest(digest)) => Some(word("digest", &digest)?.into()),
            Some(proto::register_request::Package::Name(name)) => Some(PackageRef::Name(name)),
            None => return Err(Status::invalid_argument("package: is missing; name it or give its digest")),
        };
        let registered = self
            .blocking(move |host| match wanted {
                Some(package) => host.register(&package, publisher, chain),
                None => host.register_factory(publisher, chain),
            })
            .await?;
        Ok(Response::new((&registered).into()))
    }

    async fn restart(&self, request: Request<proto::RestartRequest>) -> Reply<proto::PendingResponse> {
        self.operator(&request)?;
        let message = request.into_inner();
        let chain = chain_facts(message.domain, message.anchor)?;
        let registrations = self.blocking(move |host| host.restart(chain)).await?;
        Ok(Response::new(proto::PendingResponse { registrations: registrations.iter().map(Into::into).collect() }))
    }

    async fn pending(&self, request: Request<proto::PendingRequest>) -> Reply<proto::PendingResponse> {
        self.operator(&request)?;
        let registrations = self.host.pending_registrations();
        Ok(Response::new(proto::PendingResponse { registrations: registrations.iter().map(Into::into).collect() }))
    }

    async fn confirm(&self, request: Request<proto::ConfirmRequest>) -> Reply<proto::ConfirmResponse> {
        self.operator(&request)?;
        let registration = RegistrationId(word("registration_id", &request.into_inner().registration_id)?);
        self.host.confirm_registration(registration).map_err(status)?;
        Ok(Response::new(proto::ConfirmResponse {}))
    }
}

#[async_trait]
impl Lookup for FabricService {
    async fn cryptlet(&self, request: Request<proto::CryptletQuery>) -> Reply<proto::CryptletInfo> {
        self.peer(&request)?;
        let id = CryptletId(word("cryptlet_id", &request.into_inner().cryptlet_id)?);
        let found = self.host.cryptlet(id);
        let found = found.ok_or_else(|| Status::not_found(format!("this host does not run cryptlet {id}")))?;
        Ok(Response::new(cryptlet_info(found)))
    }

    async fn list(&self, request: Request<proto::ListRequest>) -> Reply<proto::ListResponse> {
        self.peer(&request)?;
        let cryptlets = self.host.cryptlets().into_iter().map(cryptlet_info).collect();
        Ok(Response::new(proto::ListResponse { cryptlets }))
    }

    async fn package(&self, request: Request<proto::PackageQuery>) -> Reply<proto::PackageInfo> {
        self.peer(&request)?;
        let wanted = match request.into_inner().package {
            Some(proto::package_query::Package::Digest(digest)) => word("digest", &digest)?.into(),
            Some(proto::package_query::Package::Name(name)) => PackageRef::Name(name),
            None => return Err(Status::invalid_argument("package: is missing; name it or give its digest")),
        };
        let package = self.blocking(move |host| host.packages().get(&wanted)).await?;
        Ok(Response::new(package_info(&package)))
    }
}

#[async_trait]
impl Fabric for FabricService {
    async fn health(&self, request: Request<proto::HealthRequest>) -> Reply<proto::HealthResponse> {
        self.peer(&request)?;
        Ok(Response::new(health(&self.host)))
    }

    async fn descriptor(&self, request: Request<proto::DescriptorRequest>) -> Reply<proto::DescriptorResponse> {
        self.peer(&request)?;
        let descriptor = self.host.descriptor().map_err(status)?;
        Ok(Response::new(proto::DescriptorResponse { json: descriptor.to_json() }))
    }
}

#[async_trait]
impl Operations for FabricService {
    async fn status(&self, request: Request<proto::StatusRequest>) -> Reply<proto::StatusResponse> {
        self.operator(&request)?;
        let host = &self.host;
        let certificate_expires = host.tls().map_err(status)?.expires;
        Ok(Response::new(proto::StatusResponse {
            health: Some(health(host)),
            host_key: raw(host.address()),
            vault: host.vault(),
            domain: host.domain().map(domain_message),
            endpoints: host.config().endpoints.clone(),
            isolation: u32::from(host.isolation()),
            engine_profile: host.descriptor().map_err(status)?.descriptor.engine_profile,
            certificate_expires,
            registrations_pending: count(host.pending_registrations().len()),
        }))
    }

    async fn drain(&self, request: Request<proto::DrainRequest>) -> Reply<proto::HealthResponse> {
        self.operator(&request)?;
        let request = request.into_inner();
        self.host.drain(!request.cancel);
        if !request.cancel {
            let patience = Duration::from_millis(request.wait_ms.into()).min(DRAIN_WAIT_MAX);
            // What is still under way then is in the answer.
            let _ = tokio::time::timeout(patience, self.host.idle()).await;
        }
        Ok(Response::new(health(&self.host)))
    }

    async fn rotate_certificate(
        &self,
        request: Request<proto::RotateCertificateRequest>,
    ) -> Reply<proto::RotateCertificateResponse> {
        self.operator(&request)?;
        let (fingerprint, expires) = self.blocking(Host::rotate_certificate).await?;
        Ok(Response::new(proto::RotateCertificateResponse { fingerprint: raw(fingerprint), expires }))
    }

    async fn rotate_instances(&self, request: Request<proto::RotateInstancesRequest>) -> Reply<proto::PendingResponse> {
        self.operator(&request)?;
        let message = request.into_inner();
        let chain = chain_facts(message.domain, message.anchor)?;
        let registrations = self.blocking(move |host| host.rotate_instances(chain)).await?;
        Ok(Response::new(proto::PendingResponse { registrations: registrations.iter().map(Into::into).collect() }))
    }

    async fn renew_instances(&self, request: Request<proto::RenewInstancesRequest>) -> Reply<proto::PendingResponse> {
        self.operator(&request)?;
        let message = request.into_inner();
        let (chain, within_blocks) = (chain_facts(message.domain, message.anchor)?, message.within_blocks);
        let registrations = self.blocking(move |host| host.renew_instances(chain, within_blocks)).await?;
        Ok(Response::new(proto::PendingResponse { registrations: registrations.iter().map(Into::into).collect() }))
    }
}

fn health(host: &Host) -> proto::HealthResponse {
    let load = host.load();
    proto::HealthResponse {
        is_serving: !load.is_draining,
        instances: count(host.instances()),
        calls_running: count(load.running),
        calls_waiting: count(load.waiting),
        answers_kept: load.answers_kept as u64,
        answers_given: load.answers_given,
        faults_given: load.faults_given,
        is_draining: load.is_draining,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn cryptlet_info(summary: CryptletSummary) -> proto::CryptletInfo {
    let instances = summary.instances.into_iter().map(|instance| proto::InstanceInfo {
        registration_id: raw(instance.registration_id.0),
        signer: raw(instance.signer),
        key_epoch: instance.key_epoch,
        not_after_block: instance.not_after_block,
        state: match instance.state {
            InstanceState::Pending => "pending",
            InstanceState::Presumed => "presumed",
            InstanceState::Active => "active",
        }
        .to_owned(),
    });
    proto::CryptletInfo {
        cryptlet_id: raw(summary.id.0),
        name: summary.name,
        code_digest: raw(summary.code_digest.0),
        package_digest: raw(summary.package),
        isolation: u32::from(summary.isolation),
        bound_contract: raw(summary.bound_contract.unwrap_or_default()),
        instances: instances.collect(),
    }
}

fn package_info(package: &Package) -> proto::PackageInfo {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    proto::PackageInfo {
        digest: raw(package.digest()),
        name: package.name().to_owned(),
        code_layer_digest: raw(package.code_layer_digest()),
        header_digest: raw(package.header_digest()),
        config_digest: raw(package.config_digest()),
        code_bytes: package.code().len() as u64,
        header: text(package.header()),
        interface_json: text(package.interface()),
        config_json: text(package.config_json()),
    }
}

/// Keeps apart what the caller can mend, what only time can, and what the operator must.
fn status(error: HostError) -> Status {
    let text = error.to_string();
    match error {
        HostError::Package { .. } | HostError::BlobDigest { .. } | HostError::Setting { .. } => {
            Status::invalid_argument(text)
        }
        HostError::NoPackage(_) | HostError::NoRegistration(_) => Status::not_found(text),
        HostError::NameTaken(_) => Status::already_exists(text),
        HostError::OtherChain { .. } => Status::failed_precondition(text),
        HostError::Full(_) => Status::resource_exhausted(text),
        _ => Status::internal(text),
    }
}
