//! What stands between a node and its host, and what each can do.

use super::*;
use crate::{
    ClientOptions, FabricClient, FileVault, Host, HostConfig, HostParts, RegionLauncher, Role, ScryptCost,
    SecretString, SignedDescriptor, SystemClock, SystemEntropy,
    identity::{Authority, certificate_der, private_key_der},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn key() -> DigestSigner {
    DigestSigner::generate(&SystemEntropy)
}

#[test]
fn a_proof_holds_for_one_host_on_one_connection() {
    let (ours, other) = (key(), key());
    let (here, elsewhere) = (Binding(B256::repeat_byte(1)), Binding(B256::repeat_byte(2)));
    let good = ChannelProof::make(here, &ours).unwrap();
    let software = [PROVIDER_SOFTWARE];
    assert_eq!(good.check(here, ours.address(), &software), Ok(()));
    assert_eq!(good.check(elsewhere, ours.address(), &software), Err(ProofFault::OtherConnection));
    let (found, expected) = (ours.address(), other.address());
    assert_eq!(good.check(here, expected, &software), Err(ProofFault::OtherHost { found, expected }));
    assert_eq!(good.check(here, found, &[2]), Err(ProofFault::Provider(PROVIDER_SOFTWARE)));
    // In our name, by somebody else.
    let theirs = ChannelProof { host: ours.address(), ..ChannelProof::make(here, &other).unwrap() };
    assert!(matches!(theirs.check(here, ours.address(), &software), Err(ProofFault::Signer { .. })));
    // With the binding changed to fit.
    let bent = ChannelProof { binding: elsewhere.0, ..good };
    assert!(matches!(bent.check(elsewhere, ours.address(), &software), Err(ProofFault::Signer { .. })));
}

#[test]
fn every_changed_byte_of_a_proof_is_noticed() {
    let ours = key();
    let binding = Binding(B256::repeat_byte(1));
    let good = serde_json::to_vec(&ChannelProof::make(binding, &ours).unwrap()).unwrap();
    for at in 0..good.len() {
        for change in [0x01, 0x10, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= change;
            if let Ok(proof) = serde_json::from_slice::<ChannelProof>(&bad) {
                let same = serde_json::to_vec(&proof).unwrap() == good; // the other case of a hexadecimal digit
                let verdict = proof.check(binding, ours.address(), &[PROVIDER_SOFTWARE]);
                assert_eq!(verdict.is_ok(), same, "byte {at}, bit {change:#x}");
            }
        }
    }
}

/// A host, and the authority that a thief has broken into.
struct Scene {
    _folder: tempfile::TempDir,
    host: Host,
    stolen: Authority,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let passphrase = SecretString::from("passphrase");
        FileVault::open(&folder.path().join("vault.age"), passphrase, ScryptCost::RANDOM_PASSPHRASE).unwrap()
    };
    let parts = HostParts {
        launcher: Arc::new(RegionLauncher::insecure_in_process().unwrap()),
        vault: Arc::new(open()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let host = Host::start(HostConfig::new(folder.path()), parts).unwrap();
    let stolen = Authority::open(folder.path(), &open(), Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
    Scene { _folder: folder, host, stolen }
}

/// What a door says first.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// What the real host says to the relay.
    Forwarded(SocketAddr),
    /// A proof of its own, of this very connection.
    OwnProof,
    /// HTTP/2 at once.
    Http2AtOnce,
    /// A length beyond the bound.
    Flood,
    Nothing,
}

/// A door with a certificate of the host's authority, and its key. What a thief of the TLS key has.
async fn relay(scene: &Scene, says: Says) -> SocketAddr {
    let (certificate, private) = scene.stolen.server_certificate(&["127.0.0.1".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let upstream = upstream(scene);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                let mut near = acceptor.accept(stream).await.unwrap();
                match says {
                    Says::Forwarded(host) => {
                        let stream = TcpStream::connect(host).await.unwrap();
                        let mut far = upstream.connect("127.0.0.1".try_into().unwrap(), stream).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                    Says::OwnProof => {
                        let binding = Binding::of(near.get_ref().1).unwrap();
                        ChannelProof::make(binding, &key()).unwrap().send(&mut near).await.unwrap();
                    }
                    Says::Http2AtOnce => near.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\0\0\0\0\0").await.unwrap(),
                    Says::Flood => near.write_all(&[0xFF; 4096]).await.unwrap(),
                    Says::Nothing => {}
                }
                let mut rest = Vec::new();
                let _ = near.read_to_end(&mut rest).await;
            });
        }
    });
    address
}

/// A connector with an enrolled certificate, which the thief has too.
fn upstream(scene: &Scene) -> TlsConnector {
    let identity = scene.host.enroll("thief", Role::Node).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate_der(&identity.ca_certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate_der(&identity.certificate).unwrap()],
            private_key_der(&identity.private_key).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![ALPN.to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn client(scene: &Scene, door: SocketAddr) -> FabricClient {
    let mut descriptor: SignedDescriptor = scene.host.descriptor().unwrap();
    descriptor.descriptor.endpoints = vec![door.to_string()];
    let identity = scene.host.enroll("node", Role::Node).unwrap();
    let options = ClientOptions { connect_timeout: Duration::from_millis(500), ..ClientOptions::default() };
    FabricClient::connect(&descriptor, &identity, options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_the_stolen_tls_key_is_refused_before_anything_is_sent_to_it() {
    let scene = scene();
    let server = scene.host.serve_tls("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert!(client(&scene, server.address()).health().await.unwrap().is_serving, "without a relay it works");
    let cases = [
        (Says::Forwarded(server.address()), "somebody between us"),
        (Says::OwnProof, "the descriptor names"),
        (Says::Http2AtOnce, "malformed"),
        (Says::Flood, "at most 32768"),
        (Says::Nothing, "within 500 ms"),
    ];
    for (says, expected) in cases {
        let door = relay(&scene, says).await;
        let error = client(&scene, door).health().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{says:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_answers_with_another_hosts_evidence_is_refused() {
    // Two hosts of one authority: the certificate of the second is good, its key is not the one the descriptor names.
    let (first, second) = (scene(), scene());
    let server = second.host.serve_tls("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut descriptor = second.host.descriptor().unwrap();
    descriptor.descriptor.endpoints = vec![server.address().to_string()];
    let identity = second.host.enroll("node", Role::Node).unwrap();
    let good = FabricClient::connect(&descriptor, &identity, ClientOptions::default()).unwrap();
    assert!(good.health().await.is_ok());
    descriptor.descriptor.host_key = first.host.address();
    let bad = FabricClient::connect(&descriptor, &identity, ClientOptions::default()).unwrap();
    let error = bad.health().await.unwrap_err().to_string();
    assert!(error.contains(&second.host.address().to_string()), "{error}");
}
