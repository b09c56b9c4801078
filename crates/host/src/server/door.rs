//! The door: TLS 1.3 with certificates on both sides, and the host's evidence on each connection.

use super::HostTime;
use crate::{
    channel::{ALPN, Binding, ChannelProof},
    error::HostError,
    host::Host,
    identity::certificate_der,
};
use alloy_primitives::B256;
use rustls::{
    RootCertStore, ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use sha2::{Digest, Sha256};
use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A certificate in use, and what was set up with it.
#[derive(Clone, Debug)]
pub(crate) struct TlsDoor {
    config: Arc<ServerConfig>,
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: B256,
    /// Unix time at which it ends.
    pub(crate) expires: u64,
}

/// Shakes hands and proves, on the new connection, who this host is.
pub(super) async fn open(host: &Host, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let tls = host.tls().map_err(io::Error::other)?;
    let mut stream = TlsAcceptor::from(tls.config).accept(stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not speak cryptlet-fabric/1"));
    }
    let (binding, key) = (Binding::of(stream.get_ref().1)?, host.host_key().clone());
    // The key may be in a token that takes its time.
    let signing = tokio::task::spawn_blocking(move || ChannelProof::make(binding, &key));
    let proof = signing.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
    proof.send(&mut stream).await?;
    Ok(stream)
}

impl TlsDoor {
    /// With a certificate made now.
    pub(crate) fn new(host: &Host) -> Result<Self, HostError> {
        let tls = |error: &dyn ToString| HostError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate_der(host.authority().pem())?).map_err(|error| tls(&error))?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| tls(&error))?;
        let expires = host.authority().server_certificate_expires();
        let (certificate, key) = host.authority().server_certificate(&host.config().certificate_names())?;
        let fingerprint = B256::from_slice(&Sha256::digest(&certificate));
        let time = Arc::new(HostTime(Arc::clone(host.clock())));
        let mut config = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| tls(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate], key)
            .map_err(|error| tls(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // No resumption: every connection shows its certificate.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), fingerprint, expires })
    }
}
