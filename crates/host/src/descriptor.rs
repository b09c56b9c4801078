//! The fabric's descriptor: where its hosts are, which authority signed their certificates, what they run. Signed by the
//! fabric's key (EIP-712), so it may travel over anything; `--crypto-delegate-signature` pins it.

use crate::{error::HostError, identity::DigestSigner};
use alloy_primitives::{Address, B256, FixedBytes};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use cryptlet_primitives::{FabricDomain, Signature65};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The version of the document that this code writes and reads.
pub const DESCRIPTOR_VERSION: u32 = 2;
/// Longest descriptor that is read, in bytes.
pub(crate) const DESCRIPTOR_BYTES_MAX: usize = 64 * 1024;
/// Where a host serves it.
pub const DESCRIPTOR_PATH: &str = "/.well-known/cryptlet-fabric";

const ENDPOINTS_MAX: usize = 64;
/// Hosts of one fabric.
const HOSTS_MAX: usize = 16;

sol! {
    struct FabricHost {
        string[] endpoints;
        string caCertificate;
        address hostKey;
    }

    struct FabricDescriptor {
        uint32 version;
        uint64 chainId;
        bytes32 genesisHash;
        string[] endpoints;
        string caCertificate;
        address hostKey;
        string engineProfile;
        uint16[] providers;
        FabricHost[] hosts;
        uint64 issuedAt;
        uint64 expires;
    }
}

/// The document, as it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Descriptor {
    /// [`DESCRIPTOR_VERSION`].
    pub version: u32,
    /// The chain it serves; absent while it serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<u64>,
    /// Hash of that chain's genesis block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub genesis_hash: Option<B256>,
    /// `host:port` of every door, TLS 1.3.
    pub endpoints: Vec<String>,
    /// The authority that signs certificates of hosts and nodes, PEM.
    pub ca_certificate: String,
    /// Address of the key that endorses software evidence.
    pub host_key: Address,
    /// What runs the code, exactly.
    pub engine_profile: String,
    /// Numbers of the isolation providers it can evidence (1 is software).
    pub providers: Vec<u16>,
    /// Further hosts of the same fabric, each with an authority and a key of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<DescribedHost>,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds.
    pub expires: u64,
}

/// One of several hosts of a fabric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DescribedHost {
    /// `host:port` of its doors.
    pub endpoints: Vec<String>,
    /// The authority that signs its certificate and those of its peers, PEM.
    pub ca_certificate: String,
    /// Address of its key.
    pub host_key: Address,
}

/// A descriptor with the signature of the fabric's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedDescriptor {
    /// What is signed.
    pub descriptor: Descriptor,
    /// `r ‖ s ‖ v` over its EIP-712 digest.
    pub signature: Signature65,
}

/// What `--crypto-delegate-signature` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorPin {
    /// 20 bytes: the address of the fabric's key. Survives new descriptors.
    Signer(Address),
    /// 65 bytes: exactly this signature.
    Signature(Signature65),
}

impl FromStr for DescriptorPin {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bytes = alloy_primitives::hex::decode(text.trim()).ok();
        match bytes.as_deref().map(|bytes| (bytes.len(), bytes)) {
            Some((20, bytes)) => Ok(Self::Signer(Address::from_slice(bytes))),
            Some((65, bytes)) => Ok(Self::Signature(Signature65(FixedBytes::from_slice(bytes)))),
            _ => Err(HostError::Setting {
                setting: "--crypto-delegate-signature",
                value: text.to_owned(),
                expected: "it must be 0x and 40 hex digits (the address of the fabric's key) or 0x and 130 hex digits (the \
                           descriptor's signature)",
            }),
        }
    }
}

impl fmt::Display for DescriptorPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signer(address) => address.fmt(f),
            Self::Signature(signature) => signature.0.fmt(f),
        }
    }
}

impl Descriptor {
    /// What the fabric's key signs.
    pub fn digest(&self) -> B256 {
        FabricDescriptor {
            version: self.version,
            chainId: self.chain_id.unwrap_or_default(),
            genesisHash: self.genesis_hash.unwrap_or_default(),
            endpoints: self.endpoints.clone(),
            caCertificate: self.ca_certificate.clone(),
            hostKey: self.host_key,
            engineProfile: self.engine_profile.clone(),
            providers: self.providers.clone(),
            hosts: self
                .hosts
                .iter()
                .map(|host| FabricHost {
                    endpoints: host.endpoints.clone(),
                    caCertificate: host.ca_certificate.clone(),
                    hostKey: host.host_key,
                })
                .collect(),
            issuedAt: self.issued_at,
            expires: self.expires,
        }
        .eip712_signing_hash(&domain())
    }

    pub(crate) fn sign(self, key: &DigestSigner) -> Result<SignedDescriptor, HostError> {
        let signature = key.sign(self.digest())?;
        Ok(SignedDescriptor { descriptor: self, signature })
    }

    /// Every host of the fabric as if it were the only one, the one that signs first.
    pub(crate) fn each_host(&self) -> Vec<Self> {
        let alone = Self { hosts: Vec::new(), ..self.clone() };
        let others = self.hosts.iter().map(|host| Self {
            endpoints: host.endpoints.clone(),
            ca_certificate: host.ca_certificate.clone(),
            host_key: host.host_key,
            ..alone.clone()
        });
        std::iter::once(alone.clone()).chain(others).collect()
    }

    /// The same fabric with the hosts of others, which must serve the same chain.
    pub(crate) fn with_hosts_of(mut self, others: &[SignedDescriptor]) -> Result<Self, HostError> {
        for SignedDescriptor { descriptor: other, .. } in others {
            let named = |descriptor: &Self| format!("the fabric at {}", descriptor.endpoints.join(", "));
            let chain = |descriptor: &Self| match (descriptor.chain_id, descriptor.genesis_hash) {
                (Some(id), Some(genesis)) => format!("chain {id} (genesis {genesis})"),
                _ => "no chain yet".to_owned(),
            };
            if (other.chain_id, other.genesis_hash) != (self.chain_id, self.genesis_hash) {
                return Err(HostError::Setting {
                    setting: "one of the hosts",
                    value: format!("{}, which serves {}; this one serves {}", named(other), chain(other), chain(&self)),
                    expected: "all hosts of a fabric must serve the same chain; register a cryptlet with each first",
                });
            }
            for host in other.each_host() {
                let is_known = self.each_host().iter().any(|known| known.host_key == host.host_key);
                if is_known {
                    continue;
                }
                self.hosts.push(DescribedHost {
                    endpoints: host.endpoints,
                    ca_certificate: host.ca_certificate,
                    host_key: host.host_key,
                });
            }
            for number in &other.providers {
                if !self.providers.contains(number) {
                    self.providers.push(*number);
                }
            }
        }
        Ok(self)
    }

    /// Are these the same facts, whenever they were issued?
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        Self { issued_at: other.issued_at, expires: other.expires, ..self.clone() } == *other
    }
}

impl SignedDescriptor {
    /// Reads and checks a descriptor. `url` is where it came from, for the error; `now` is Unix time in seconds.
    pub fn open(json: &[u8], url: &str, pin: DescriptorPin, now: u64) -> Result<Self, HostError> {
        let malformed = |why: String| HostError::DescriptorMalformed { url: url.to_owned(), why };
        if json.len() > DESCRIPTOR_BYTES_MAX {
            return Err(malformed(format!("{} bytes; at most {DESCRIPTOR_BYTES_MAX} are read", json.len())));
        }
        let signed: Self = serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
        signed.check_signature(url, pin)?;
        let descriptor = &signed.descriptor;
        if descriptor.version != DESCRIPTOR_VERSION {
            return Err(malformed(format!(
                "version {}; this node knows version {DESCRIPTOR_VERSION}",
                descriptor.version
            )));
        }
        if descriptor.endpoints.is_empty() || descriptor.endpoints.len() > ENDPOINTS_MAX {
            return Err(malformed(format!(
                "{} endpoints; 1 to {ENDPOINTS_MAX} are needed",
                descriptor.endpoints.len()
            )));
        }
        let doors = descriptor.hosts.iter().map(|host| host.endpoints.len());
        if descriptor.hosts.len() >= HOSTS_MAX || !doors.clone().all(|count| (1..=ENDPOINTS_MAX).contains(&count)) {
            return Err(malformed(format!(
                "{} hosts besides the first; at most {} are read, each with 1 to {ENDPOINTS_MAX} endpoints",
                descriptor.hosts.len(),
                HOSTS_MAX - 1
            )));
        }
        if descriptor.expires < now {
            return Err(HostError::DescriptorExpired { url: url.to_owned(), expires: descriptor.expires, now });
        }
        Ok(signed)
    }

    /// Does this fabric serve this chain? One that serves none yet may come to.
    pub fn check_chain(&self, domain: FabricDomain) -> Result<(), HostError> {
        let Descriptor { chain_id: Some(chain_id), genesis_hash: Some(genesis_hash), .. } = self.descriptor else {
            return Ok(());
        };
        let bound = FabricDomain { chain_id, genesis_hash };
        if bound == domain { Ok(()) } else { Err(HostError::OtherChain { bound, given: domain }) }
    }

    /// The document as it is served.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a descriptor is JSON")
    }

    fn check_signature(&self, url: &str, pin: DescriptorPin) -> Result<(), HostError> {
        let found = cryptlet_attestation::recover(self.descriptor.digest(), &self.signature).map_err(|fault| {
            HostError::DescriptorMalformed { url: url.to_owned(), why: format!("its signature: {fault}") }
        })?;
        match pin {
            DescriptorPin::Signer(expected) if expected == found => Ok(()),
            DescriptorPin::Signer(expected) => {
                Err(HostError::DescriptorSigner { url: url.to_owned(), expected, found })
            }
            // The pinned signature is good for one document and one key. Recovery shows it is a signature of this
            // document; that the key is the one it claims keeps a stranger from finding a key for a given signature.
            DescriptorPin::Signature(expected) if expected == self.signature && found == self.descriptor.host_key => {
                Ok(())
            }
            DescriptorPin::Signature(expected) => Err(HostError::DescriptorSignature {
                url: url.to_owned(),
                expected: expected.0.to_string(),
                found: self.signature.0.to_string(),
            }),
        }
    }
}

/// The domain names no chain: one fabric has one key, and a node may not know its chain's genesis when it reads this.
fn domain() -> Eip712Domain {
    eip712_domain! {
        name: "CryptletFabricDescriptor",
        version: "1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    fn signed(key: &DigestSigner) -> SignedDescriptor {
        Descriptor {
            version: DESCRIPTOR_VERSION,
            chain_id: Some(31337),
            genesis_hash: Some(B256::repeat_byte(1)),
            endpoints: vec!["127.0.0.1:9443".to_owned()],
            ca_certificate: "pem".to_owned(),
            host_key: key.address(),
            engine_profile: "engine".to_owned(),
            providers: vec![1],
            hosts: vec![DescribedHost {
                endpoints: vec!["10.0.0.9:9443".to_owned()],
                ca_certificate: "another pem".to_owned(),
                host_key: Address::repeat_byte(9),
            }],
            issued_at: 100,
            expires: 200,
        }
        .sign(key)
        .unwrap()
    }

    #[test]
    fn either_pin_opens_it_and_another_key_or_signature_does_not() {
        let (key, stranger) = (DigestSigner::generate(&SystemEntropy), DigestSigner::generate(&SystemEntropy));
        let signed = signed(&key);
        let open = |pin| SignedDescriptor::open(signed.to_json().as_bytes(), "file:///d", pin, 150);
        assert_eq!(open(DescriptorPin::Signer(key.address())).unwrap(), signed);
        assert_eq!(open(DescriptorPin::Signature(signed.signature)).unwrap(), signed);
        let error = open(DescriptorPin::Signer(stranger.address())).unwrap_err();
        assert!(matches!(error, HostError::DescriptorSigner { .. }), "{error}");
        let error = open(DescriptorPin::Signature(stranger.sign(signed.descriptor.digest()).unwrap())).unwrap_err();
        assert!(matches!(error, HostError::DescriptorSignature { .. }), "{error}");
    }

    #[test]
    fn every_changed_field_is_refused() {
        let key = DigestSigner::generate(&SystemEntropy);
        let good = signed(&key);
        let changes: [fn(&mut Descriptor); 13] = [
            |d| d.hosts.clear(),
            |d| d.hosts[0].host_key = Address::ZERO,
            |d| d.hosts[0].ca_certificate.push('x'),
            |d| d.hosts[0].endpoints[0].push('1'),
            |d| d.chain_id = Some(1),
            |d| d.genesis_hash = None,
            |d| d.endpoints.push("10.0.0.1:1".to_owned()),
            |d| d.ca_certificate.push('x'),
            |d| d.host_key = Address::ZERO,
            |d| d.engine_profile.clear(),
            |d| d.providers = vec![2],
            |d| d.issued_at += 1,
            |d| d.expires += 1,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad.descriptor);
            for pin in [DescriptorPin::Signer(key.address()), DescriptorPin::Signature(good.signature)] {
                assert!(
                    SignedDescriptor::open(bad.to_json().as_bytes(), "u", pin, 150).is_err(),
                    "change {index}, {pin}"
                );
            }
        }
    }

    #[test]
    fn hosts_of_others_are_taken_in_once_and_only_of_the_same_chain() {
        let (ours, theirs) = (DigestSigner::generate(&SystemEntropy), DigestSigner::generate(&SystemEntropy));
        let other = signed(&theirs);
        let joint = signed(&ours).descriptor.with_hosts_of(&[other.clone(), other.clone()]).unwrap();
        let keys: Vec<Address> = joint.each_host().iter().map(|host| host.host_key).collect();
        assert_eq!(keys, [ours.address(), Address::repeat_byte(9), theirs.address()]);
        let mut stranger = other;
        stranger.descriptor.chain_id = Some(5);
        let error = signed(&ours).descriptor.with_hosts_of(&[stranger]).unwrap_err();
        assert!(error.to_string().contains("same chain"), "{error}");
    }

    #[test]
    fn a_fabric_of_another_chain_is_noticed() {
        let signed = signed(&DigestSigner::generate(&SystemEntropy));
        let ours = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(1) };
        assert!(signed.check_chain(ours).is_ok());
        for other in [FabricDomain { chain_id: 1, ..ours }, FabricDomain { genesis_hash: B256::ZERO, ..ours }] {
            assert!(matches!(signed.check_chain(other), Err(HostError::OtherChain { .. })));
        }
    }

    #[test]
    fn an_old_one_is_refused() {
        let key = DigestSigner::generate(&SystemEntropy);
        let json = signed(&key).to_json();
        let error =
            SignedDescriptor::open(json.as_bytes(), "u", DescriptorPin::Signer(key.address()), 201).unwrap_err();
        assert!(matches!(error, HostError::DescriptorExpired { expires: 200, now: 201, .. }), "{error}");
    }

    #[test]
    fn a_pin_is_20_or_65_bytes_of_hex() {
        for bad in ["", "0x", "0x1234", "hello", "0xzz"] {
            assert!(bad.parse::<DescriptorPin>().is_err(), "{bad}");
        }
        assert!(matches!(Address::ZERO.to_string().parse(), Ok(DescriptorPin::Signer(Address::ZERO))));
        assert!(matches!(format!("0x{}", "11".repeat(65)).parse(), Ok(DescriptorPin::Signature(_))));
    }
}
