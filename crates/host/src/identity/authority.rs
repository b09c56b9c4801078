//! The host's own certificate authority: one certificate for its door, one for every peer it enrols.

use crate::{Clock, Entropy, error::HostError, files, vault::Vault};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{path::Path, sync::Arc, time::Duration};
use zeroize::Zeroizing;

const CA_KEY: &str = "tls-ca-key";
const CA_FILE: &str = "ca.pem";
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Validity of the authority, of its door's certificate (made anew at each start) and of a peer's, in days.
const CA_DAYS: u64 = 3650;
const SERVER_DAYS: u64 = 398;
const CLIENT_DAYS: u64 = 398;
/// Certificates begin this long before they are made, so that a peer with a slow clock accepts them.
const BACKDATE_SECONDS: u64 = 60 * 60;

/// What a node needs to knock: one PEM bundle, to be kept secret.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The authority that signed the host's certificate and this one, PEM.
    pub ca_certificate: String,
    /// The client's certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM (PKCS#8).
    pub private_key: Zeroizing<String>,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ClientIdentity {
    /// The three parts one after another: authority, certificate, key.
    pub fn to_pem_bundle(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}{}{}", self.ca_certificate, self.certificate, self.private_key.as_str()))
    }

    /// Reads several bundles, one after the other: one for each host of a fabric.
    pub fn all_from_pem_bundles(bundles: &str) -> Result<Vec<Self>, HostError> {
        let parts = bundles.split_inclusive("-----END PRIVATE KEY-----").filter(|part| part.contains("-----BEGIN"));
        let identities = parts.map(Self::from_pem_bundle).collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() { Self::from_pem_bundle(bundles).map(|one| vec![one]) } else { Ok(identities) }
    }

    /// Reads what [`to_pem_bundle`](Self::to_pem_bundle) wrote.
    pub fn from_pem_bundle(bundle: &str) -> Result<Self, HostError> {
        let key_begins = bundle.find("-----BEGIN PRIVATE KEY-----");
        let second = bundle.match_indices("-----BEGIN CERTIFICATE-----").nth(1).map(|(position, _)| position);
        match (second, key_begins) {
            (Some(second), Some(key)) if second < key => {
                let identity = Self {
                    ca_certificate: bundle[..second].to_owned(),
                    certificate: bundle[second..key].to_owned(),
                    private_key: Zeroizing::new(bundle[key..].to_owned()),
                };
                certificate_der(&identity.ca_certificate)?;
                certificate_der(&identity.certificate)?;
                private_key_der(&identity.private_key)?;
                Ok(identity)
            }
            _ => Err(HostError::Tls(
                "a client identity is a PEM bundle of the authority's certificate, the client's certificate and its \
                 private key, in this order"
                    .to_owned(),
            )),
        }
    }
}

/// The authority, with its key taken from the vault.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pem", &self.pem).finish_non_exhaustive()
    }
}

impl Authority {
    /// Opens the authority kept in `folder` and the vault, or founds it.
    pub(crate) fn open(
        folder: &Path,
        vault: &dyn Vault,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, HostError> {
        let file = folder.join(CA_FILE);
        let params = ca_params(clock.as_ref(), entropy.as_ref());
        if let (Some(pem), Some(secret)) = (files::read(&file, 64 * 1024)?, vault.secret(CA_KEY)?) {
            let pem = String::from_utf8(pem).map_err(|error| HostError::damaged(&file, error))?;
            certificate_der(&pem)?;
            let der = rustls::pki_types::PrivatePkcs8KeyDer::from(secret.as_slice());
            let key = KeyPair::try_from(&der).map_err(tls)?;
            return Ok(Self { issuer: Issuer::new(params, key), pem, clock, entropy });
        }
        let key = KeyPair::generate().map_err(tls)?;
        let certificate = params.self_signed(&key).map_err(tls)?;
        vault.keep(CA_KEY, &Zeroizing::new(key.serialize_der()))?;
        files::write_public(&file, certificate.pem().as_bytes())?;
        Ok(Self { issuer: Issuer::new(params, key), pem: certificate.pem(), clock, entropy })
    }

    /// The authority's own certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Unix time at which a certificate for the door ends that is made now.
    pub(crate) fn server_certificate_expires(&self) -> u64 {
        self.clock.unix_seconds().saturating_add(self.server_certificate_seconds())
    }

    /// Seconds for which a certificate for the door is made.
    pub(crate) fn server_certificate_seconds(&self) -> u64 {
        SERVER_DAYS * DAY_SECONDS
    }

    /// A certificate for the host's door, valid for these DNS names and IP addresses; its key lives in memory only.
    pub(crate) fn server_certificate(
        &self,
        names: &[String],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), HostError> {
        let mut params = self.leaf("cryptlet host", SERVER_DAYS, ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names = CertificateParams::new(names).map_err(tls)?.subject_alt_names;
        let key = KeyPair::generate().map_err(tls)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(tls)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| HostError::Tls(error.to_owned()))?;
        Ok((certificate.der().clone(), key))
    }

    /// A certificate for a peer, with a new key.
    pub(crate) fn client_identity(&self, name: &str) -> Result<ClientIdentity, HostError> {
        let params = self.leaf(name, CLIENT_DAYS, ExtendedKeyUsagePurpose::ClientAuth);
        let key = KeyPair::generate().map_err(tls)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(tls)?;
        Ok(ClientIdentity {
            ca_certificate: self.pem.clone(),
            certificate: certificate.pem(),
            private_key: Zeroizing::new(key.serialize_pem()),
        })
    }

    fn leaf(&self, name: &str, days: u64, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
        let mut params = params(name, days, self.clock.as_ref(), self.entropy.as_ref());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

/// The first certificate in a PEM text.
pub(crate) fn certificate_der(pem: &str) -> Result<CertificateDer<'static>, HostError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| HostError::Tls(format!("no certificate in PEM: {error}")))
}

/// The first private key in a PEM text.
pub(crate) fn private_key_der(pem: &str) -> Result<PrivateKeyDer<'static>, HostError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| HostError::Tls(format!("no private key in PEM: {error}")))
}

fn ca_params(clock: &dyn Clock, entropy: &dyn Entropy) -> CertificateParams {
    let mut params = params("cryptlet fabric authority", CA_DAYS, clock, entropy);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str, days: u64, clock: &dyn Clock, entropy: &dyn Entropy) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = clock.unix_seconds();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.saturating_sub(BACKDATE_SECONDS));
    params.not_after = epoch + Duration::from_secs(now.saturating_add(days * DAY_SECONDS));
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial = [0; 16];
    entropy.fill(&mut serial);
    serial[0] &= 0x7f; // a positive DER integer
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn tls(error: impl ToString) -> HostError {
    HostError::Tls(error.to_string())
}
