// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {FabricTypedData} from "../../src/libraries/FabricTypedData.sol";
import {CRYPTO_DELEGATE} from "../../src/libraries/SystemContracts.sol";
import {UtilityRegistration} from "../../src/types/Cryptlet.sol";
import {CreateConfig} from "../../src/types/Creation.sol";
import {CryptletId, RegistrationId, contractCryptletId, utilityCryptletId} from "../../src/types/Ids.sol";
import {
    Envelope,
    CryptletRequest,
    CryptletResult,
    FabricDomain,
    InstanceAuthorization,
    InstanceKeys,
    InstanceRegistration
} from "../../src/types/Signed.sol";
import {ContainerKind, Isolation, SimulationPolicy} from "../../src/types/Words.sol";
import {SOFTWARE_STATEMENT_TYPEHASH, SoftwareEvidence, softwareStatementHash} from "../support/TestDelegate.sol";
import {vm} from "../support/Vm.sol";

/// @notice Against `tests/vectors/typed-data.json`, which ethers computed; Rust reads the same file.
contract FabricTypedDataTest {
    string private json;

    function setUp() public {
        json = vm.readFile("../tests/vectors/typed-data.json");
    }

    function test_typedData_hasTheDigestsThatEthersComputes() public view {
        uint256 count;
        for (string memory path = _at(0); vm.keyExistsJson(json, path); path = _at(++count)) {
            (bytes32 typeHash, bytes32 structHash) = _hash(path, vm.parseJsonString(json, _in(path, "primaryType")));
            vm.assertEq(typeHash, _word(path, "typeHash"), "type hash");
            vm.assertEq(structHash, _word(path, "structHash"), "struct hash");

            bytes32 nameHash = keccak256(bytes(vm.parseJsonString(json, _in(path, "domainName"))));
            FabricDomain memory domain = FabricDomain(_number(path, "domain.chainId"), _word(path, "domain.genesisHash"));
            // Registrars sign for the registry, everybody else for the delegate.
            bytes32 separator = nameHash == FabricTypedData.REGISTRY_NAME_HASH
                ? FabricTypedData.registrySeparator(domain)
                : FabricTypedData.separator(nameHash, domain);
            vm.assertEq(separator, _word(path, "domainSeparator"), "domain separator");
            bytes32 digest = FabricTypedData.digest(separator, structHash);
            vm.assertEq(digest, _word(path, "digest"), "digest");
            address signer = ECDSA.recover(digest, vm.parseJsonBytes(json, _in(path, "signature")));
            vm.assertEq(signer, _address(path, "signer"), "signer");
        }
        vm.assertEq(count, 28, "vectors read");
    }

    function test_liveSeparator_isTheDomainNamedCryptletFabric() public pure {
        FabricDomain memory domain = FabricDomain(31337, keccak256("genesis"));
        vm.assertEq(FabricTypedData.liveSeparator(domain), FabricTypedData.separator(keccak256("CryptletFabric"), domain), "live");
    }

    function test_identifiers_areTheOnesThatEthersComputes() public view {
        for (uint256 index; index < 3; ++index) {
            string memory path = string.concat(".utilityIds[", vm.toString(index), "]");
            CryptletId id = utilityCryptletId(_address(path, "publisher"), vm.parseJsonString(json, _in(path, "name")));
            vm.assertEq(CryptletId.unwrap(id), _word(path, "id"), "utility id");
        }
        string memory first = ".contractIds[0]";
        CryptletId bound = contractCryptletId(_address(first, "boundContract"), _word(first, "codeDigest"));
        vm.assertEq(CryptletId.unwrap(bound), _word(first, "id"), "contract id");
    }

    function test_envelope_decodesToWhatEthersEncoded() public view {
        bytes memory encoded = vm.parseJsonBytes(json, ".envelope.encoded");
        Envelope memory envelope = abi.decode(encoded, (Envelope));
        vm.assertEq(abi.encode(envelope), encoded, "encoding");
        vm.assertEq(envelope.result.requestHash, FabricTypedData.hash(envelope.request), "request hash");
        vm.assertEq(envelope.result.outputHash, keccak256(envelope.output), "output hash");
        InstanceKeys memory keys = _keys(".envelope.instanceKeys");
        vm.assertEq(RegistrationId.unwrap(envelope.result.registrationId), FabricTypedData.hash(keys), "registration");
    }

    function test_createConfig_decodesToWhatEthersEncoded() public view {
        bytes memory encoded = vm.parseJsonBytes(json, ".createConfig.encoded");
        CreateConfig memory config = abi.decode(encoded, (CreateConfig));
        vm.assertEq(abi.encode(config), encoded, "encoding");
        vm.assertEq(config.packageDigest, _word(".createConfig", "packageDigest"), "package");
        vm.assertEq(config.code, vm.parseJsonBytes(json, ".createConfig.code"), "code");
        vm.assertEq(config.maximumInstances, _number(".createConfig", "maximumInstances"), "maximum");
        vm.assertTrue(config.isolation == Isolation.Vm, "isolation");
        vm.assertEq(config.unitsMax, _number(".createConfig", "unitsMax"), "units");
        vm.assertEq(config.outputBytesMax, _number(".createConfig", "outputBytesMax"), "output bytes");
        vm.assertEq(config.configJson, vm.parseJsonString(json, ".createConfig.configJson"), "config");
    }

    function test_vectors_areOfTheDelegateEveryChainHas() public view {
        vm.assertEq(vm.parseJsonAddress(json, ".delegate"), address(CRYPTO_DELEGATE), "delegate");
    }

    /// From calldata, as the registry has it.
    function hashOf(UtilityRegistration calldata said, address publisher, uint64 deadlineBlock) external pure returns (bytes32) {
        return FabricTypedData.hash(said, publisher, deadlineBlock);
    }

    function _hash(string memory path, string memory primaryType) private view returns (bytes32, bytes32) {
        string memory m = _in(path, "message");
        bytes32 kind = keccak256(bytes(primaryType));
        if (kind == keccak256("CryptletRequest")) {
            return (FabricTypedData.REQUEST_TYPEHASH, FabricTypedData.hash(_request(m)));
        }
        if (kind == keccak256("CryptletResult")) {
            return (FabricTypedData.RESULT_TYPEHASH, FabricTypedData.hash(_result(m)));
        }
        if (kind == keccak256("InstanceKeys")) {
            return (FabricTypedData.INSTANCE_KEYS_TYPEHASH, FabricTypedData.hash(_keys(m)));
        }
        if (kind == keccak256("InstanceRegistration")) {
            return (FabricTypedData.INSTANCE_REGISTRATION_TYPEHASH, FabricTypedData.hash(_registration(m)));
        }
        if (kind == keccak256("InstanceAuthorization")) {
            return (FabricTypedData.INSTANCE_AUTHORIZATION_TYPEHASH, FabricTypedData.hash(_authorization(m)));
        }
        if (kind == keccak256("UtilityRegistration")) {
            UtilityRegistration memory said = _utility(m);
            address publisher = _address(m, "publisher");
            bytes32 structHash = this.hashOf(said, publisher, uint64(_number(m, "deadlineBlock")));
            return (FabricTypedData.UTILITY_REGISTRATION_TYPEHASH, structHash);
        }
        vm.assertEq(primaryType, "SoftwareStatement", "structure");
        return (SOFTWARE_STATEMENT_TYPEHASH, softwareStatementHash(_statement(m)));
    }

    function _request(string memory m) private view returns (CryptletRequest memory) {
        return CryptletRequest({
            key: _word(m, "key"),
            cryptletId: CryptletId.wrap(_word(m, "cryptletId")),
            caller: _address(m, "caller"),
            codeDigest: _word(m, "codeDigest"),
            inputHash: _word(m, "inputHash"),
            anchorBlock: uint64(_number(m, "anchorBlock")),
            anchorHash: _word(m, "anchorHash"),
            policyVersion: uint32(_number(m, "policyVersion"))
        });
    }

    function _result(string memory m) private view returns (CryptletResult memory) {
        return CryptletResult({
            requestHash: _word(m, "requestHash"),
            registrationId: RegistrationId.wrap(_word(m, "registrationId")),
            keyEpoch: uint64(_number(m, "keyEpoch")),
            status: uint8(_number(m, "status")),
            outputHash: _word(m, "outputHash"),
            units: uint64(_number(m, "units")),
            observedAt: uint64(_number(m, "observedAt")),
            notBefore: uint64(_number(m, "notBefore")),
            expires: uint64(_number(m, "expires"))
        });
    }

    function _keys(string memory m) private view returns (InstanceKeys memory) {
        return InstanceKeys({
            cryptletId: CryptletId.wrap(_word(m, "cryptletId")),
            codeDigest: _word(m, "codeDigest"),
            manifestDigest: _word(m, "manifestDigest"),
            signer: _address(m, "signer"),
            hpkeKey: _word(m, "hpkeKey"),
            keyEpoch: uint64(_number(m, "keyEpoch")),
            anchorBlock: uint64(_number(m, "anchorBlock")),
            anchorHash: _word(m, "anchorHash"),
            notAfterBlock: uint64(_number(m, "notAfterBlock")),
            container: ContainerKind(_number(m, "container")),
            version: uint32(_number(m, "version"))
        });
    }

    function _authorization(string memory m) private view returns (InstanceAuthorization memory) {
        return InstanceAuthorization({
            registrationId: RegistrationId.wrap(_word(m, "registrationId")),
            previous: RegistrationId.wrap(_word(m, "previous")),
            graceBlocks: uint32(_number(m, "graceBlocks")),
            deadlineBlock: uint64(_number(m, "deadlineBlock"))
        });
    }

    function _utility(string memory m) private view returns (UtilityRegistration memory) {
        return UtilityRegistration({
            name: vm.parseJsonString(json, _in(m, "name")),
            codeDigest: _word(m, "codeDigest"),
            manifestDigest: _word(m, "manifestDigest"),
            headerDigest: _word(m, "headerDigest"),
            configDigest: _word(m, "configDigest"),
            identityKey: _address(m, "identityKey"),
            isolation: Isolation(_number(m, "isolation")),
            minimumInstances: uint16(_number(m, "minimumInstances")),
            maximumInstances: uint16(_number(m, "maximumInstances")),
            unitsMax: uint64(_number(m, "unitsMax")),
            outputBytesMax: uint32(_number(m, "outputBytesMax")),
            simulationPolicy: SimulationPolicy(_number(m, "simulationPolicy")),
            simulationStub: vm.parseJsonBytes(json, _in(m, "simulationStub"))
        });
    }

    function _registration(string memory m) private view returns (InstanceRegistration memory) {
        return InstanceRegistration({
            instanceKeysHash: _word(m, "instanceKeysHash"),
            provider: uint16(_number(m, "provider")),
            measurement: _word(m, "measurement"),
            evidenceHash: _word(m, "evidenceHash"),
            endorsementsHash: _word(m, "endorsementsHash"),
            policyVersion: uint32(_number(m, "policyVersion")),
            registeredBlock: uint64(_number(m, "registeredBlock"))
        });
    }

    function _statement(string memory m) private view returns (SoftwareEvidence memory) {
        return SoftwareEvidence({
            provider: uint16(_number(m, "provider")),
            isolation: uint8(_number(m, "isolation")),
            measurement: _word(m, "measurement"),
            reportData: _word(m, "reportData"),
            host: _address(m, "host"),
            issuedAt: uint64(_number(m, "issuedAt")),
            expires: uint64(_number(m, "expires")),
            signature: ""
        });
    }

    function _at(uint256 index) private pure returns (string memory) {
        return string.concat(".typedData[", vm.toString(index), "]");
    }

    function _in(string memory path, string memory name) private pure returns (string memory) {
        return string.concat(path, ".", name);
    }

    function _word(string memory path, string memory name) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, _in(path, name));
    }

    function _number(string memory path, string memory name) private view returns (uint256) {
        return vm.parseJsonUint(json, _in(path, name));
    }

    function _address(string memory path, string memory name) private view returns (address) {
        return vm.parseJsonAddress(json, _in(path, name));
    }
}
