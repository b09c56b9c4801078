//! The same services over TLS on loopback: who gets in, what breaks, what the descriptor protects.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use alloy_primitives::Address;
use cryptlet_host::{
    ClientIdentity, ClientOptions, DESCRIPTOR_PATH, DescriptorPin, FabricClient, Host, HostError, PackageRef, Role,
    Server, SignedDescriptor, fetch_descriptor,
};
use cryptlet_primitives::UnavailableReason;
use std::{net::SocketAddr, time::Duration};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const ANY_PORT: &str = "127.0.0.1:0";

fn options() -> ClientOptions {
    ClientOptions {
        call_timeout: Duration::from_secs(10),
        reconnect_pause_max: Duration::from_millis(200),
        ..ClientOptions::default()
    }
}

/// A host that serves TLS, and the descriptor that leads to it.
async fn serve(host: &Host) -> (Server, SignedDescriptor) {
    let server = host.serve_tls(ANY_PORT.parse().unwrap()).await.unwrap();
    let descriptor = at(host, server.address());
    (server, descriptor)
}

/// The host's descriptor, with the door moved to where the system put it.
fn at(host: &Host, address: SocketAddr) -> SignedDescriptor {
    let mut signed = host.descriptor().unwrap();
    signed.descriptor.endpoints = vec![address.to_string()];
    signed
}

fn connect(descriptor: &SignedDescriptor, identity: &ClientIdentity) -> FabricClient {
    FabricClient::connect(descriptor, identity, options()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_node_calls_and_looks_up_but_does_not_register() {
    let host = Fixture::new().start();
    let registered = register(&host, "echo", echo());
    let (_server, descriptor) = serve(&host).await;
    let node = connect(&descriptor, &host.enroll("node-1", Role::Node).unwrap());
    let invocation = call(&registered, 1, b"over the wire");
    let answer = node.invoke(invocation.clone()).await.unwrap();
    assert_eq!(&answer.output[..], b"over the wire");
    assert_signed(&invocation, &answer, &registered);
    assert_eq!(host.invoke(invocation).await.unwrap(), answer, "one answer by every door");

    let cryptlets = node.cryptlets().await.unwrap();
    assert_eq!(cryptlets.len(), 1);
    assert_eq!(node.cryptlet(cryptlets[0].id).await.unwrap(), cryptlets[0]);
    assert_eq!(cryptlets[0].instances[0].state, "active");
    let package = node.package(&PackageRef::Name("echo".to_owned())).await.unwrap();
    assert_eq!((package.digest, package.header.as_str()), (cryptlets[0].package, "// header"));
    assert!(node.health().await.unwrap().is_serving);
    let error = node.register(&PackageRef::Name("echo".to_owned()), PUBLISHER, chain_at(5)).await.unwrap_err();
    assert!(matches!(&error, HostError::Refused(why) if why.contains("operator")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_publishes_and_registers_from_afar() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let (server, descriptor) = serve(&host).await;
    // As `cryptlet host enroll` does it, in another process: the running host sees the new peer.
    let identity = {
        let parts = fixture.parts();
        let around = (parts.clock, parts.entropy);
        cryptlet_host::enroll_offline(&fixture.config.folder, parts.vault.as_ref(), around, "ops", Role::Operator)
            .unwrap()
    };
    let bundle = identity.to_pem_bundle();
    let operator = connect(&descriptor, &ClientIdentity::from_pem_bundle(&bundle).unwrap());
    let package = package("echo", echo());
    let digest = operator.publish(&package).await.unwrap();
    assert_eq!(digest, package.digest());
    let registered = operator.register(&digest.into(), PUBLISHER, chain_at(5)).await.unwrap();
    assert_eq!(host.pending_registrations(), vec![registered.clone()]);
    assert_eq!(operator.pending_registrations().await.unwrap(), vec![registered.clone()]);
    operator.confirm_registration(registered.registration_id).await.unwrap();
    assert_eq!(operator.pending_registrations().await.unwrap(), vec![]);
    assert!(operator.invoke(call(&registered, 1, b"x")).await.is_ok());
    let error = operator.confirm_registration(Default::default()).await.unwrap_err();
    assert!(matches!(&error, HostError::Refused(why) if why.contains("no instance")), "{error}");
    server.stop().await;

    let host = fixture.start();
    let (_server, descriptor) = serve(&host).await;
    let operator = connect(&descriptor, &identity);
    let again = operator.restart(chain_at(30)).await.unwrap();
    assert_eq!((again.len(), again[0].created.keyEpoch), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused() {
    let host = Fixture::new().start();
    let registered = register(&host, "echo", echo());
    let (_server, descriptor) = serve(&host).await;
    let invocation = call(&registered, 1, b"x");

    // A certificate of another authority.
    let stranger = Fixture::new().start().enroll("node-1", Role::Node).unwrap();
    let fault = connect(&descriptor, &stranger).invoke(invocation.clone()).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");

    // A peer that was shut out, on a connection it still holds.
    let node = connect(&descriptor, &host.enroll("node-2", Role::Node).unwrap());
    assert!(node.invoke(invocation.clone()).await.is_ok());
    assert_eq!(host.expel("node-2").unwrap(), 1);
    let fault = node.invoke(invocation.clone()).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::Refused, "{fault}");
    assert!(fault.detail.contains("not enrolled"), "{fault}");

    // A host whose certificate is of another authority than the descriptor says.
    let mut imposed = descriptor.clone();
    imposed.descriptor.ca_certificate = stranger.ca_certificate.clone();
    let identity = host.enroll("node-3", Role::Node).unwrap();
    let fault = connect(&imposed, &identity).invoke(invocation).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");
    assert!(fault.detail.contains("certificate"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tls_1_3_with_a_certificate_gets_through_the_door() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
    let host = Fixture::new().start();
    let (server, descriptor) = serve(&host).await;
    let identity = host.enroll("node", Role::Node).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(descriptor.descriptor.ca_certificate.as_bytes()).unwrap()).unwrap();
    let attempt = async |version: &'static rustls::SupportedProtocolVersion, is_known: bool| {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone());
        let mut config = if is_known {
            let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.private_key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![b"cryptlet-fabric/1".to_vec()];
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let mut stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await?;
        // In TLS 1.3 the server's verdict on our certificate comes with its first bytes.
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
        stream.read_u8().await
    };
    assert!(attempt(&rustls::version::TLS13, true).await.is_ok());
    assert!(attempt(&rustls::version::TLS13, false).await.is_err());
    assert!(attempt(&rustls::version::TLS12, true).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_is_unreachable_and_found_again_when_it_is_back() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let registered = register(&host, "echo", echo());
    let (server, descriptor) = serve(&host).await;
    let address = server.address();
    let client = connect(&descriptor, &host.enroll("node", Role::Node).unwrap());
    let invocation = call(&registered, 1, b"x");
    let answer = client.invoke(invocation.clone()).await.unwrap();
    server.stop().await;
    drop(host);
    for _ in 0..3 {
        let fault = client.invoke(invocation.clone()).await.unwrap_err();
        assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");
        assert!(fault.detail.contains(&address.to_string()), "{fault}");
    }
    let host = fixture.start();
    let _server = host.serve_tls(address).await.unwrap();
    let mut again = client.invoke(invocation.clone()).await;
    for _ in 0..50 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        again = client.invoke(invocation.clone()).await;
    }
    assert_eq!(again.unwrap(), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_in_the_middle_of_a_call_is_unreachable() {
    let fixture = Fixture::new();
    // A host in a runtime of its own, which can be killed with everything in it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let host = fixture.start();
    let registered = register(&host, "endless", endless());
    let server_host = host.clone();
    let (server, descriptor) = runtime.spawn(async move { serve(&server_host).await }).await.unwrap();
    let client = connect(&descriptor, &host.enroll("node", Role::Node).unwrap());
    let mut invocation = call(&registered, 1, b"");
    invocation.units_max = 3_000_000;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.invoke(invocation).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    std::mem::forget(server);
    runtime.shutdown_background();
    let fault = calling.await.unwrap().unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_never_answers_is_given_up() {
    let host = Fixture::new().start();
    let registered = register(&host, "echo", echo());
    let identity = host.enroll("node", Role::Node).unwrap();
    let silent = tokio::net::TcpListener::bind(ANY_PORT).await.unwrap();
    let descriptor = at(&host, silent.local_addr().unwrap());
    let options = ClientOptions { connect_timeout: Duration::from_millis(200), ..options() };
    let client = FabricClient::connect(&descriptor, &identity, options).unwrap();
    let fault = client.invoke(call(&registered, 1, b"x")).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");
    assert!(fault.detail.contains("200 ms"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_longer_than_the_bound_is_refused() {
    let mut fixture = Fixture::new();
    (fixture.config.input_bytes_max, fixture.config.output_bytes_max) = (1000, 4096);
    let host = fixture.start();
    let registered = register(&host, "echo", echo());
    let (_server, descriptor) = serve(&host).await;
    let client = connect(&descriptor, &host.enroll("node", Role::Node).unwrap());
    let fault = client.invoke(call(&registered, 1, &vec![0; 1 << 20])).await.unwrap_err();
    assert!(fault.detail.contains("too large"), "{fault}");
    assert_eq!(host.load().answers_kept, 0);
    assert!(client.invoke(call(&registered, 2, b"x")).await.is_ok(), "the connection is still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_descriptor_is_fetched_and_pinned() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let door = host.serve_descriptor(ANY_PORT.parse().unwrap()).await.unwrap();
    let signed = host.descriptor().unwrap();
    let file = fixture.folder.path().join("fabric.json");
    std::fs::write(&file, signed.to_json()).unwrap();
    let urls = [
        format!("http://{}", door.address()),
        format!("http://{}/", door.address()),
        format!("http://{}{DESCRIPTOR_PATH}", door.address()),
        format!("file://{}", file.display()),
    ];
    let clock = cryptlet_host::SystemClock;
    for url in &urls {
        let key = DescriptorPin::Signer(host.address());
        assert_eq!(fetch_descriptor(url, key, &clock).await.unwrap(), signed, "{url}");
        let exact = DescriptorPin::Signature(signed.signature);
        assert_eq!(fetch_descriptor(url, exact, &clock).await.unwrap(), signed, "{url}");
        let wrong = DescriptorPin::Signer(Address::repeat_byte(1));
        let error = fetch_descriptor(url, wrong, &clock).await.unwrap_err();
        assert!(matches!(error, HostError::DescriptorSigner { .. }), "{error}");
        assert!(error.to_string().contains("--crypto-delegate-signature"), "{error}");
    }
    for bad in
        ["ftp://example.org", "nonsense", "http://127.0.0.1:1/", "file:///no/such/file", &format!("{}/x", urls[0])]
    {
        let error = fetch_descriptor(bad, DescriptorPin::Signer(host.address()), &clock).await.unwrap_err();
        assert!(matches!(error, HostError::DescriptorUnreachable { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_descriptor_stays_the_same_until_there_is_something_new_to_say() {
    let fixture = Fixture::new();
    let first = fixture.start().descriptor().unwrap();
    fixture.clock.advance(1000);
    let host = fixture.start();
    assert_eq!(host.descriptor().unwrap(), first, "a pinned signature survives a restart");
    register(&host, "echo", echo());
    let bound = host.descriptor().unwrap();
    assert_eq!((bound.descriptor.chain_id, bound.descriptor.genesis_hash), (Some(31337), Some(DOMAIN.genesis_hash)));
    assert_eq!(bound.descriptor.host_key, first.descriptor.host_key);
    fixture.clock.advance(200 * 24 * 60 * 60);
    assert!(host.descriptor().unwrap().descriptor.expires > bound.descriptor.expires, "renewed at half its time");
}
