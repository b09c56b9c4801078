// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ICryptoDelegate, RefusalCodes} from "../../src/interfaces/ICryptoDelegate.sol";
import {FabricTypedData} from "../../src/libraries/FabricTypedData.sol";
import {ATTESTATION_VERIFIER, CRYPTLET_REGISTRY} from "../../src/libraries/SystemContracts.sol";
import {Cryptlet} from "../../src/types/Cryptlet.sol";
import {Claims, CreateConfig, CreatedInstance} from "../../src/types/Creation.sol";
import {CryptletId, RegistrationId} from "../../src/types/Ids.sol";
import {Envelope} from "../../src/types/Signed.sol";
import {CryptletStatus, Isolation} from "../../src/types/Words.sol";

/// @notice Evidence of the software provider, as `ICryptoDelegate.appraise` takes it.
struct SoftwareEvidence {
    uint16 provider;
    uint8 isolation;
    bytes32 measurement;
    bytes32 reportData;
    address host;
    uint64 issuedAt;
    uint64 expires;
    bytes signature;
}

bytes32 constant SOFTWARE_STATEMENT_TYPEHASH = keccak256(
    "SoftwareStatement(uint16 provider,uint8 isolation,bytes32 measurement,bytes32 reportData,address host,uint64 issuedAt,uint64 expires)"
);

function softwareStatementHash(SoftwareEvidence memory evidence) pure returns (bytes32) {
    return keccak256(
        abi.encode(
            SOFTWARE_STATEMENT_TYPEHASH,
            evidence.provider,
            evidence.isolation,
            evidence.measurement,
            evidence.reportData,
            evidence.host,
            evidence.issuedAt,
            evidence.expires
        )
    );
}

/// @notice Who plays the fabric's factory in a test.
interface ITestFactory {
    function create(address caller, CreateConfig calldata config) external returns (CreatedInstance memory);
}

/// @notice Stands at the delegate's address in forge, whose EVM has no such precompile. The real one is tested in the delegate's crate
/// and end to end. What is the same here: the checks of access, in order; that registrations count from the next block on;
/// the appraisal of software evidence. What is not: a cryptlet is a contract that answers at once, and nothing is signed or paid.
contract TestDelegate is ICryptoDelegate {
    mapping(CryptletId => address) public programs;
    ITestFactory public factory;

    function setProgram(CryptletId cryptlet, address program) external {
        programs[cryptlet] = program;
    }

    function setFactory(ITestFactory factory_) external {
        factory = factory_;
    }

    function invoke(CryptletId cryptlet, bytes calldata input) external returns (bytes memory output) {
        Cryptlet memory entry = CRYPTLET_REGISTRY.cryptlet(cryptlet);
        if (entry.status == CryptletStatus.None || entry.registeredBlock >= block.number) {
            revert CryptletError(RefusalCodes.UNKNOWN_CRYPTLET, abi.encode(cryptlet));
        }
        if (entry.status != CryptletStatus.Active) {
            revert CryptletError(RefusalCodes.INACTIVE_CRYPTLET, abi.encode(cryptlet, entry.status));
        }
        if (entry.boundContract != address(0) && entry.boundContract != msg.sender) {
            revert CryptletError(RefusalCodes.NOT_BOUND_CONTRACT, abi.encode(entry.boundContract));
        }
        bool isAnswered;
        (isAnswered, output) = programs[cryptlet].call(input);
        if (!isAnswered) revert CryptletError(RefusalCodes.CRYPTLET_FAILED, output);
    }

    function create(bytes calldata config) external returns (bytes memory) {
        if (address(factory) == address(0)) revert CryptletError(RefusalCodes.NO_FACTORY, "");
        return abi.encode(factory.create(msg.sender, abi.decode(config, (CreateConfig))));
    }

    function verify(bytes calldata envelope) external view returns (bool) {
        return ATTESTATION_VERIFIER.verify(abi.decode(envelope, (Envelope)));
    }

    function appraise(bytes calldata evidence, bytes calldata) external view returns (bytes memory) {
        SoftwareEvidence memory statement = abi.decode(evidence, (SoftwareEvidence));
        bytes32 digest = FabricTypedData.digest(CRYPTLET_REGISTRY.domainSeparator(), softwareStatementHash(statement));
        (address recovered, ECDSA.RecoverError err,) = ECDSA.tryRecover(digest, statement.signature);
        if (err != ECDSA.RecoverError.NoError || recovered != statement.host) {
            revert CryptletError(RefusalCodes.EVIDENCE_REJECTED, abi.encode("not signed by its host"));
        }
        return abi.encode(
            Claims({
                provider: statement.provider,
                isolation: Isolation(statement.isolation),
                measurement: statement.measurement,
                reportData: statement.reportData,
                endorser: statement.host,
                expires: statement.expires
            })
        );
    }
}
