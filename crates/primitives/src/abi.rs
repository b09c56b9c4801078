//! The Solidity interfaces of the system contracts, as Rust types. `contracts/src/interfaces` is the source; a test compares
//! selectors and topics with the committed artefacts.
#![allow(missing_docs)] // documented in Solidity

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
        /// Signature of `signer` over the EIP-712 digest of `InstanceKeys`.
        bytes keysSignature;
        bytes evidence;
        bytes collateral;
    }

    /// A record as an envelope that a contract can check.
    #[derive(Debug, PartialEq, Eq)]
    struct Envelope {
        EnvelopeRequest request;
        EnvelopeResult result;
        bytes output;
        bytes signature;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct EnvelopeRequest {
        bytes32 key;
        bytes32 cryptletId;
        address caller;
        bytes32 codeDigest;
        bytes32 inputHash;
        uint64 anchorBlock;
        bytes32 anchorHash;
        uint32 policyVersion;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct EnvelopeResult {
        bytes32 requestHash;
        bytes32 registrationId;
        uint64 keyEpoch;
        uint8 status;
        bytes32 outputHash;
        uint64 units;
        uint64 observedAt;
        uint64 notBefore;
        uint64 expires;
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
