//! `--crypto-delegate-path URL`: fetching the descriptor over `https://`, `http://` or `file://`.

use crate::{
    Clock,
    descriptor::{DESCRIPTOR_BYTES_MAX, DESCRIPTOR_PATH, DescriptorPin, SignedDescriptor},
    error::HostError,
    files,
};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches the descriptor and checks it against the pin. A URL without a path asks for the well-known one.
pub async fn fetch_descriptor(url: &str, pin: DescriptorPin, clock: &dyn Clock) -> Result<SignedDescriptor, HostError> {
    let unreachable = |why: String| HostError::DescriptorUnreachable { url: url.to_owned(), why };
    let json = match url.strip_prefix("file://") {
        Some(path) => files::read(Path::new(path), DESCRIPTOR_BYTES_MAX as u64)?
            .ok_or_else(|| unreachable("there is no such file".to_owned()))?,
        None => match tokio::time::timeout(TIMEOUT, fetch(url)).await {
            Ok(fetched) => fetched.map_err(unreachable)?,
            Err(_) => return Err(unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
        },
    };
    SignedDescriptor::open(&json, url, pin, clock.unix_seconds())
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let uri: Uri = url.parse().map_err(|error| format!("it is not a URL: {error}"))?;
    let host = uri.host().ok_or("the URL names no host")?;
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let port = |default| uri.port_u16().unwrap_or(default);
    match uri.scheme_str() {
        Some("http") => {
            let stream = dial(bare_host, port(80)).await?;
            get(stream, &uri).await
        }
        Some("https") => {
            let name = ServerName::try_from(bare_host.to_owned()).map_err(|error| error.to_string())?;
            let connector = TlsConnector::from(Arc::new(public_tls()?));
            let stream = dial(bare_host, port(443)).await?;
            let stream = connector.connect(name, stream).await.map_err(|error| format!("TLS: {error}"))?;
            get(stream, &uri).await
        }
        other => Err(format!("its scheme is {other:?}; it must be https, http or file")),
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("{host}:{port}: {error}"))
}

async fn get(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, uri: &Uri) -> Result<Vec<u8>, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let path = match uri.path_and_query().map(|path| path.as_str()) {
        None | Some("" | "/") => DESCRIPTOR_PATH,
        Some(path) => path,
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        let hint = if response.status().is_redirection() { "; redirections are not followed" } else { "" };
        return Err(format!("GET {path} answered {}{hint}", response.status()));
    }
    let body = Limited::new(response.into_body(), DESCRIPTOR_BYTES_MAX).collect().await;
    driver.abort();
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

/// TLS as browsers do it: with the system's authorities. What counts is the descriptor's signature; this only keeps
/// bystanders out.
fn public_tls() -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err("this machine has no list of certificate authorities (ca-certificates) for https".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
