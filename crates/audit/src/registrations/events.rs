//! The events of `CryptletRegistry` and `CryptletPolicy` that tell a registration's life. `contracts/src/interfaces` is the source; a test
//! compares the topics with the committed artefacts.
#![allow(missing_docs)] // documented in Solidity

use alloy_sol_types::sol;

sol! {
    #[derive(Debug)]
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
        bytes keysSignature;
        bytes evidence;
        bytes collateral;
    }

    #[derive(Debug)]
    interface Registry {
        event CryptletRegistered(
            bytes32 indexed cryptletId, address indexed publisher, uint8 indexed kind, string name, bytes32 codeDigest,
            bytes32 manifestDigest
        );
        event CryptletRevoked(bytes32 indexed cryptletId, address indexed by, string reason);
        event KeyEpochAdvanced(bytes32 indexed cryptletId, uint64 previousEpoch, uint64 keyEpoch);
        event GracePeriodBegan(bytes32 indexed cryptletId, uint64 keyEpoch, uint64 untilBlock);
        event InstanceEvidence(bytes32 indexed registrationId, CreatedInstance created);
        event InstanceRenewed(bytes32 indexed previous, bytes32 indexed renewed, uint64 notAfterBlock);
        event InstanceRevoked(bytes32 indexed registrationId, address indexed by, string reason);
        event InstanceRetired(bytes32 indexed registrationId, uint64 notAfterBlock);
    }

    #[derive(Debug)]
    interface Policy {
        event ProviderAcceptanceChanged(uint16 indexed provider, bool isAccepted, uint32 version);
        event ProviderRevoked(uint16 indexed provider, string reason, uint32 version);
        event TcbToleranceChanged(uint8 indexed status, bool isTolerated, uint32 version);
        event MeasurementAcceptanceChanged(
            uint16 indexed provider, bytes32 indexed measurement, bool isAccepted, uint32 version
        );
        event MeasurementRevoked(uint16 indexed provider, bytes32 indexed measurement, string reason, uint32 version);
        event EndorserAcceptanceChanged(address indexed endorser, bool isAccepted, uint32 version);
        event EndorserRevoked(address indexed endorser, string reason, uint32 version);
    }
}
