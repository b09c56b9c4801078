//! The Solidity interfaces of the system contracts, as Rust types. `contracts/src/interfaces` is the source; a test compares
//! selectors and topics with the committed artefacts.
#![allow(missing_docs)] // documented in Solidity

use crate::{InstanceKeys, RegistrationId, Signature65, typed_data};
use alloy_primitives::{Address, Bytes};
use alloy_sol_types::sol;

sol! {
    /// `contracts/src/interfaces/ICryptoDelegate.sol`
    #[derive(Debug, PartialEq, Eq)]
    interface ICryptoDelegate {
        error CryptletError(uint16 code, bytes data);

        event CryptletInvoked(
            bytes32 indexed cryptlet,
            address indexed caller,
            bytes32 indexed requestHash,
            bytes32 resultHash,
            bytes32 instance
        );

        /// Calls a cryptlet as if it were a function.
        function invoke(bytes32 cryptlet, bytes input) external returns (bytes output);

        /// Has the fabric create a Contract Cryptlet for the calling contract; returns `abi.encode(CreatedInstance)`.
        function create(bytes config) external returns (bytes registration);

        /// Checks an envelope, `abi.encode(Envelope)`, against the registry.
        function verify(bytes envelope) external view returns (bool valid);

        /// Verifies evidence with its collateral; returns `abi.encode(Claims)`. Time is the block's timestamp.
        function appraise(bytes evidence, bytes collateral) external view returns (bytes claims);
    }

    /// `contracts/src/interfaces/ICryptletRegistry.sol`: what changes registrations, and what tells of it.
    #[derive(Debug, PartialEq, Eq)]
    interface ICryptletRegistry {
        event CryptletRegistered(
            bytes32 indexed cryptletId,
            address indexed publisher,
            uint8 indexed kind,
            string name,
            bytes32 codeDigest,
            bytes32 manifestDigest
        );
        event CryptletAuthorized(
            bytes32 indexed cryptletId, bytes32 registrationHash, Authorization authorization, bytes identitySignature
        );
        event CryptletRevoked(bytes32 indexed cryptletId, address indexed by, string reason);
        event KeyEpochAdvanced(bytes32 indexed cryptletId, uint64 previousEpoch, uint64 keyEpoch);
        event GracePeriodBegan(bytes32 indexed cryptletId, uint64 keyEpoch, uint64 untilBlock);
        event InstanceEvidence(bytes32 indexed registrationId, CreatedInstance created);
        event InstanceAuthorized(
            bytes32 indexed registrationId, bytes32 previous, uint32 graceBlocks, Authorization authorization
        );
        event InstanceActivated(bytes32 indexed registrationId, address indexed by);
        event InstanceRenewed(bytes32 indexed previous, bytes32 indexed renewed, uint64 notAfterBlock);
        event InstanceRevoked(bytes32 indexed registrationId, address indexed by, string reason);
        event InstanceRetired(bytes32 indexed registrationId, uint64 notAfterBlock);

        function registerUtility(
            UtilityRegistration registration, Authorization authorization, bytes identitySignature
        ) external returns (bytes32 cryptletId);
        function registerInstance(CreatedInstance created, Authorization authorization)
            external
            returns (bytes32 registrationId);
        function rotateKeys(CreatedInstance created, uint32 graceBlocks, Authorization authorization)
            external
            returns (bytes32 registrationId);
        function renewInstance(bytes32 previous, CreatedInstance created, Authorization authorization)
            external
            returns (bytes32 registrationId);
        function activateInstance(bytes32 registrationId) external;
    }

    /// `contracts/src/interfaces/ICryptletPolicy.sol`: what tells of its changes.
    #[derive(Debug, PartialEq, Eq)]
    interface ICryptletPolicy {
        event ProviderAcceptanceChanged(uint16 indexed provider, bool isAccepted, uint32 version);
        event ProviderRevoked(uint16 indexed provider, string reason, uint32 version);
        event TcbToleranceChanged(uint8 indexed status, bool isTolerated, uint32 version);
        event MeasurementAcceptanceChanged(
            uint16 indexed provider, bytes32 indexed measurement, bool isAccepted, uint32 version
        );
        event MeasurementRevoked(uint16 indexed provider, bytes32 indexed measurement, string reason, uint32 version);
        event EndorserAcceptanceChanged(address indexed endorser, bool isAccepted, uint32 version);
        event EndorserRevoked(address indexed endorser, string reason, uint32 version);
        event AcceptedVersionsChanged(uint8 indexed container, uint32 minimum, uint32 maximum, uint32 version);
        event ActivationChanged(bool isAutomatic, uint32 version);
    }

    /// What a publisher says about a utility cryptlet. What is signed of it is [`typed_data::UtilityRegistration`].
    #[derive(Debug, PartialEq, Eq)]
    struct UtilityRegistration {
        string name;
        bytes32 codeDigest;
        bytes32 manifestDigest;
        bytes32 headerDigest;
        bytes32 configDigest;
        address identityKey;
        uint8 isolation;
        uint16 minimumInstances;
        uint16 maximumInstances;
        uint64 unitsMax;
        uint32 outputBytesMax;
        uint8 simulationPolicy;
        bytes simulationStub;
    }

    /// Who answers for a registration, in their own signature: anybody may send it, until block `deadlineBlock`.
    #[derive(Debug, PartialEq, Eq)]
    struct Authorization {
        address registrar;
        uint64 deadlineBlock;
        bytes signature;
    }

    /// What the constructor of a Contract Cryptlet passes to `create`.
    #[derive(Debug, PartialEq, Eq)]
    struct CreateConfig {
        /// Digest of a package the host has; zero if `code` is given.
        bytes32 packageDigest;
        /// The code itself (a WebAssembly component); empty if `packageDigest` is given.
        bytes code;
        uint16 minimumInstances;
        uint16 maximumInstances;
        /// Least isolation the contract accepts: 0 none, 1 process, 2 vm, 3 enclave.
        uint8 isolation;
        uint64 unitsMax;
        uint32 outputBytesMax;
        /// The papers' Cryptlet schema, as JSON.
        string configJson;
    }

    /// What a host hands out when it has started an instance: all that a registration needs.
    #[derive(Debug, PartialEq, Eq)]
    struct CreatedInstance {
        bytes32 cryptletId;
        bytes32 codeDigest;
        bytes32 manifestDigest;
        address signer;
        bytes32 hpkeKey;
        uint64 keyEpoch;
        uint64 anchorBlock;
        bytes32 anchorHash;
        uint64 notAfterBlock;
        /// What it runs in: 0 the host, 1 wasm, 2 process, 3 evm.
        uint8 container;
        /// Version of the fabric that runs it: major · 10⁶ + minor · 10³ + patch.
        uint32 version;
        /// Signature of `signer` over the EIP-712 digest of `InstanceKeys`.
        bytes keysSignature;
        bytes evidence;
        bytes collateral;
    }

    /// What the verifier found in evidence (RATS: Attestation Results).
    #[derive(Debug, PartialEq, Eq)]
    struct Claims {
        /// 1 software, 2 sgx, 3 tdx, 4 snp, 5 nitro, 6 tpm.
        uint16 provider;
        /// Isolation that was claimed: 0 none, 1 process, 2 vm, 3 enclave.
        uint8 isolation;
        bytes32 measurement;
        /// What the attester bound: the EIP-712 struct hash of the instance's `InstanceKeys`.
        bytes32 reportData;
        /// Who vouches: the host's key for software evidence; zero for hardware, where the vendor's root does.
        address endorser;
        /// Unix seconds after which the collateral no longer holds.
        uint64 expires;
    }

    /// Evidence of the software provider: the host's own statement, and honest about that.
    #[derive(Debug, PartialEq, Eq)]
    struct SoftwareEvidence {
        uint16 provider;
        uint8 isolation;
        bytes32 measurement;
        bytes32 reportData;
        address host;
        uint64 issuedAt;
        uint64 expires;
        /// Signature of `host` over the EIP-712 digest of `SoftwareStatement` (the fields above, in order).
        bytes signature;
    }

    /// Evidence of Intel SGX and TDX: a quote, as the hardware's quoting enclave gave it.
    #[derive(Debug, PartialEq, Eq)]
    struct QuoteEvidence {
        /// 2 sgx, 3 tdx.
        uint16 provider;
        bytes quote;
    }

    /// What Intel serves beside a quote: which platforms are up to date, and what was revoked (PCS API, version 4).
    #[derive(Debug, PartialEq, Eq)]
    struct QuoteCollateral {
        string pckCrlIssuerChain;
        bytes rootCaCrl;
        bytes pckCrl;
        string tcbInfoIssuerChain;
        string tcbInfo;
        bytes tcbInfoSignature;
        string qeIdentityIssuerChain;
        string qeIdentity;
        bytes qeIdentitySignature;
        /// PEM; empty if the quote carries it.
        string pckCertificateChain;
    }

    /// Evidence of a TPM 2.0: a quote of its platform registers by a restricted key. All three are in the TPM's own encoding
    /// (TCG TPM 2.0 Library, part 2).
    #[derive(Debug, PartialEq, Eq)]
    struct TpmEvidence {
        /// 6 tpm.
        uint16 provider;
        /// `TPMS_ATTEST`; its `extraData` is the `RegistrationId`.
        bytes attest;
        /// `TPMT_SIGNATURE`
        bytes signature;
        /// `TPMT_PUBLIC` of the attestation key.
        bytes attestationKey;
    }

    /// Collateral of TPM evidence: an endorser says that the attestation key lives in a TPM it has enrolled.
    #[derive(Debug, PartialEq, Eq)]
    struct TpmEndorsement {
        /// SHA-256 of the key's `TPMT_PUBLIC`: its name, without the algorithm.
        bytes32 keyName;
        /// What the endorser vouches for on that machine: 0 none, 1 process, 2 vm.
        uint8 isolation;
        address endorser;
        uint64 issuedAt;
        uint64 expires;
        /// Signature of `endorser` over the EIP-712 digest of `TpmKeyStatement` (the fields above, in order).
        bytes signature;
    }

    /// What the endorser signs for [`TpmEndorsement`] (EIP-712).
    #[derive(Debug, PartialEq, Eq)]
    struct TpmKeyStatement {
        bytes32 keyName;
        uint8 isolation;
        address endorser;
        uint64 issuedAt;
        uint64 expires;
    }

    /// What the host signs for [`SoftwareEvidence`] (EIP-712).
    #[derive(Debug, PartialEq, Eq)]
    struct SoftwareStatement {
        uint16 provider;
        uint8 isolation;
        bytes32 measurement;
        bytes32 reportData;
        address host;
        uint64 issuedAt;
        uint64 expires;
    }
}

impl CreatedInstance {
    /// Keys, as the registry takes them.
    pub fn new(keys: &InstanceKeys, keys_signature: Signature65, evidence: Bytes, collateral: Bytes) -> Self {
        Self {
            cryptletId: keys.cryptletId,
            codeDigest: keys.codeDigest,
            manifestDigest: keys.manifestDigest,
            signer: keys.signer,
            hpkeKey: keys.hpkeKey,
            keyEpoch: keys.keyEpoch,
            anchorBlock: keys.anchorBlock,
            anchorHash: keys.anchorHash,
            notAfterBlock: keys.notAfterBlock,
            container: keys.container,
            version: keys.version,
            keysSignature: Bytes::copy_from_slice(keys_signature.0.as_slice()),
            evidence,
            collateral,
        }
    }

    /// The keys in it, which its signature and its evidence are about.
    pub fn keys(&self) -> InstanceKeys {
        InstanceKeys {
            cryptletId: self.cryptletId,
            codeDigest: self.codeDigest,
            manifestDigest: self.manifestDigest,
            signer: self.signer,
            hpkeKey: self.hpkeKey,
            keyEpoch: self.keyEpoch,
            anchorBlock: self.anchorBlock,
            anchorHash: self.anchorHash,
            notAfterBlock: self.notAfterBlock,
            container: self.container,
            version: self.version,
        }
    }

    /// The identifier of the instance.
    pub fn registration_id(&self) -> RegistrationId {
        self.keys().registration_id()
    }
}

impl UtilityRegistration {
    /// What publisher and identity key sign of it.
    pub fn signed_by(&self, publisher: Address, deadline_block: u64) -> typed_data::UtilityRegistration {
        typed_data::UtilityRegistration {
            publisher,
            name: self.name.clone(),
            codeDigest: self.codeDigest,
            manifestDigest: self.manifestDigest,
            headerDigest: self.headerDigest,
            configDigest: self.configDigest,
            identityKey: self.identityKey,
            isolation: self.isolation,
            minimumInstances: self.minimumInstances,
            maximumInstances: self.maximumInstances,
            unitsMax: self.unitsMax,
            outputBytesMax: self.outputBytesMax,
            simulationPolicy: self.simulationPolicy,
            simulationStub: self.simulationStub.clone(),
            deadlineBlock: deadline_block,
        }
    }
}
