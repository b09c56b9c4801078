// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AttestationVerifier} from "../../src/AttestationVerifier.sol";
import {CryptletPolicy} from "../../src/CryptletPolicy.sol";
import {CryptletRegistry} from "../../src/CryptletRegistry.sol";
import {FabricTypedData} from "../../src/libraries/FabricTypedData.sol";
import {ATTESTATION_VERIFIER, CRYPTLET_POLICY, CRYPTLET_REGISTRY, CRYPTO_DELEGATE} from "../../src/libraries/SystemContracts.sol";
import {Cryptlet, UtilityRegistration} from "../../src/types/Cryptlet.sol";
import {Authorization, CreateConfig, CreatedInstance} from "../../src/types/Creation.sol";
import {CryptletId, RegistrationId, contractCryptletId} from "../../src/types/Ids.sol";
import {FabricDomain, InstanceAuthorization, InstanceKeys} from "../../src/types/Signed.sol";
import {ContainerKind, Isolation, Providers, SimulationPolicy} from "../../src/types/Words.sol";
import {ITestFactory, SoftwareEvidence, TestDelegate, softwareStatementHash} from "./TestDelegate.sol";
import {vm} from "./Vm.sol";

/// @notice A chain as genesis makes it, block 10, with an administrator, a publisher and a host.
abstract contract FabricTest is ITestFactory {
    bytes32 internal constant GENESIS_HASH = keccak256("genesis of the tests");
    bytes32 internal constant CODE_DIGEST = keccak256("code");
    bytes32 internal constant MANIFEST_DIGEST = keccak256("manifest");
    bytes32 internal constant MEASUREMENT = keccak256("measurement");
    uint256 internal constant HOST_KEY = 0x4057;
    uint256 internal constant INSTANCE_KEY = 0x1257;
    uint64 internal constant NOT_AFTER_BLOCK = 1000;
    /// 0.1.2
    uint32 internal constant VERSION = 1_002;

    uint256 internal constant ADMIN_KEY = 0xAD;
    uint256 internal constant PUBLISHER_KEY = 0xBB;
    uint256 internal constant STRANGER_KEY = 0x57;
    uint256 internal constant IDENTITY_KEY = 0x1D;
    // The addresses of these keys.
    address internal constant ADMIN = 0x5181bE40152CAaBa8e123a55b7762755D4e8e416;
    address internal constant PUBLISHER = 0xF5D122E123D9D7998d2bEA685d11b10FEC3E4508;
    address internal constant STRANGER = 0x8530A26f6c062f55597Bd30c1a44e248DEcB0027;
    address internal constant IDENTITY = 0x4a7A7c2E09209dbE44A582cD92b0eDd7129E74be;
    /// Sends what others have signed.
    address internal constant RELAYER = address(0x5E);

    /// The key that the fabric's factory gives the next instance it creates.
    uint256 internal nextInstanceKey = INSTANCE_KEY;

    function setUp() public virtual {
        vm.etch(address(CRYPTLET_REGISTRY), type(CryptletRegistry).runtimeCode);
        vm.etch(address(CRYPTLET_POLICY), type(CryptletPolicy).runtimeCode);
        vm.etch(address(ATTESTATION_VERIFIER), type(AttestationVerifier).runtimeCode);
        vm.etch(address(CRYPTO_DELEGATE), type(TestDelegate).runtimeCode);
        vm.store(address(CRYPTLET_REGISTRY), bytes32(uint256(0)), bytes32(uint256(uint160(ADMIN))));
        vm.store(address(CRYPTLET_POLICY), bytes32(uint256(0)), bytes32(uint256(uint160(ADMIN))));
        // version 1, the software provider accepted, isolation at least a process, registrations active at once
        uint256 rules = 1 | (1 << Providers.SOFTWARE) << 32 | uint256(uint8(Isolation.Process)) << 64 | uint256(7200) << 152;
        rules |= uint256(1) << 184;
        vm.store(address(CRYPTLET_POLICY), bytes32(uint256(2)), bytes32(rules));
        delegate().setFactory(this);

        vm.warp(1_700_000_000);
        vm.roll(10);
        for (uint256 number; number < 10; ++number) {
            vm.setBlockhash(number, blockHashOf(number));
        }
        vm.prank(ADMIN);
        CRYPTLET_REGISTRY.initialize(GENESIS_HASH);
    }

    // --- what stands ready ---

    function delegate() internal pure returns (TestDelegate) {
        return TestDelegate(address(CRYPTO_DELEGATE));
    }

    function blockHashOf(uint256 number) internal pure returns (bytes32) {
        return number == 0 ? GENESIS_HASH : keccak256(abi.encode("block", number));
    }

    function domain() internal view returns (FabricDomain memory) {
        return FabricDomain(block.chainid, GENESIS_HASH);
    }

    function utility(string memory name) internal pure returns (UtilityRegistration memory) {
        return UtilityRegistration({
            name: name,
            codeDigest: CODE_DIGEST,
            manifestDigest: MANIFEST_DIGEST,
            headerDigest: keccak256("header"),
            configDigest: keccak256("config"),
            identityKey: IDENTITY,
            isolation: Isolation.Process,
            minimumInstances: 1,
            maximumInstances: 2,
            unitsMax: 1_000_000,
            outputBytesMax: 4096,
            simulationPolicy: SimulationPolicy.Live,
            simulationStub: ""
        });
    }

    function registerUtility(string memory name) internal returns (CryptletId) {
        return registerUtility(utility(name));
    }

    function registerUtility(UtilityRegistration memory said) internal returns (CryptletId) {
        bytes32 structHash = hashOf(said, PUBLISHER, deadline());
        Authorization memory authorization = Authorization(PUBLISHER, deadline(), signFor(PUBLISHER_KEY, structHash));
        bytes memory identitySignature = signFor(IDENTITY_KEY, structHash);
        vm.prank(RELAYER);
        return CRYPTLET_REGISTRY.registerUtility(said, authorization, identitySignature);
    }

    function registerInstance(CreatedInstance memory created) internal returns (RegistrationId) {
        return registerInstance(PUBLISHER_KEY, created);
    }

    function registerInstance(uint256 key, CreatedInstance memory created) internal returns (RegistrationId) {
        Authorization memory authorization = authorized(key, created, RegistrationId.wrap(0), 0);
        vm.prank(RELAYER);
        return CRYPTLET_REGISTRY.registerInstance(created, authorization);
    }

    function rotateKeys(uint256 key, CreatedInstance memory created, uint32 graceBlocks) internal returns (RegistrationId) {
        Authorization memory authorization = authorized(key, created, RegistrationId.wrap(0), graceBlocks);
        vm.prank(RELAYER);
        return CRYPTLET_REGISTRY.rotateKeys(created, graceBlocks, authorization);
    }

    function renewInstance(uint256 key, RegistrationId previous, CreatedInstance memory created)
        internal
        returns (RegistrationId)
    {
        Authorization memory authorization = authorized(key, created, previous, 0);
        vm.prank(RELAYER);
        return CRYPTLET_REGISTRY.renewInstance(previous, created, authorization);
    }

    /// What a registrar signs.
    function authorized(uint256 key, CreatedInstance memory created, RegistrationId previous, uint32 graceBlocks)
        internal
        view
        returns (Authorization memory)
    {
        InstanceAuthorization memory asked = InstanceAuthorization(registrationIdOf(created), previous, graceBlocks, deadline());
        return Authorization(vm.addr(key), deadline(), signFor(key, FabricTypedData.hash(asked)));
    }

    /// What `FabricTypedData` computes from calldata, by hand.
    function hashOf(UtilityRegistration memory said, address publisher, uint64 deadlineBlock) internal pure returns (bytes32) {
        bytes memory texts = abi.encode(FabricTypedData.UTILITY_REGISTRATION_TYPEHASH, publisher, keccak256(bytes(said.name)));
        bytes memory digests =
            abi.encode(said.codeDigest, said.manifestDigest, said.headerDigest, said.configDigest, said.identityKey);
        bytes memory numbers =
            abi.encode(said.isolation, said.minimumInstances, said.maximumInstances, said.unitsMax, said.outputBytesMax);
        bytes memory rest = abi.encode(said.simulationPolicy, keccak256(said.simulationStub), deadlineBlock);
        return keccak256(bytes.concat(texts, digests, numbers, rest));
    }

    /// A signature in the registry's domain.
    function signFor(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        return sign(key, FabricTypedData.registrySeparator(domain()), structHash);
    }

    function deadline() internal view returns (uint64) {
        return uint64(block.number) + 20;
    }

    /// A utility cryptlet with one instance, answered by `program`, callable now.
    function serveUtility(string memory name, address program) internal returns (CryptletId cryptletId) {
        cryptletId = registerUtility(name);
        registerInstance(instanceOf(cryptletId, INSTANCE_KEY, 1));
        delegate().setProgram(cryptletId, program);
        vm.roll(block.number + 1);
    }

    // --- instances, as a host makes them ---

    function create(address caller, CreateConfig calldata config) external virtual returns (CreatedInstance memory) {
        bytes32 codeDigest = config.packageDigest == bytes32(0) ? keccak256(config.code) : config.packageDigest;
        return instanceOf(contractCryptletId(caller, codeDigest), codeDigest, nextInstanceKey, 1);
    }

    function instanceOf(CryptletId cryptletId, uint256 key, uint64 keyEpoch) internal view returns (CreatedInstance memory) {
        return instanceOf(cryptletId, CODE_DIGEST, key, keyEpoch);
    }

    function instanceOf(CryptletId cryptletId, bytes32 codeDigest, uint256 key, uint64 keyEpoch)
        internal
        view
        returns (CreatedInstance memory created)
    {
        created.cryptletId = cryptletId;
        created.codeDigest = codeDigest;
        created.manifestDigest = MANIFEST_DIGEST;
        created.signer = vm.addr(key);
        created.hpkeKey = keccak256(abi.encode("hpke", key));
        created.keyEpoch = keyEpoch;
        created.anchorBlock = 9;
        created.anchorHash = blockHashOf(9);
        created.notAfterBlock = NOT_AFTER_BLOCK;
        created.container = ContainerKind.Wasm;
        created.version = VERSION;
        return signed(created, key);
    }

    /// Signs the keys as they are now, and has the host state them.
    function signed(CreatedInstance memory created, uint256 key) internal view returns (CreatedInstance memory) {
        bytes32 id = RegistrationId.unwrap(registrationIdOf(created));
        created.keysSignature = sign(key, FabricTypedData.liveSeparator(domain()), id);
        created.evidence = abi.encode(evidenceOf(id));
        return created;
    }

    function evidenceOf(bytes32 reportData) internal view returns (SoftwareEvidence memory) {
        return stated(
            SoftwareEvidence({
                provider: Providers.SOFTWARE,
                isolation: uint8(Isolation.Process),
                measurement: MEASUREMENT,
                reportData: reportData,
                host: vm.addr(HOST_KEY),
                issuedAt: uint64(block.timestamp),
                expires: uint64(block.timestamp + 365 days),
                signature: ""
            })
        );
    }

    /// Signs a statement, whatever it says, with the host's key.
    function stated(SoftwareEvidence memory evidence) internal view returns (SoftwareEvidence memory) {
        evidence.signature = sign(HOST_KEY, FabricTypedData.liveSeparator(domain()), softwareStatementHash(evidence));
        return evidence;
    }

    function registrationIdOf(CreatedInstance memory created) internal pure returns (RegistrationId) {
        InstanceKeys memory keys = InstanceKeys({
            cryptletId: created.cryptletId,
            codeDigest: created.codeDigest,
            manifestDigest: created.manifestDigest,
            signer: created.signer,
            hpkeKey: created.hpkeKey,
            keyEpoch: created.keyEpoch,
            anchorBlock: created.anchorBlock,
            anchorHash: created.anchorHash,
            notAfterBlock: created.notAfterBlock,
            container: created.container,
            version: created.version
        });
        return RegistrationId.wrap(FabricTypedData.hash(keys));
    }

    function sign(uint256 key, bytes32 separator, bytes32 structHash) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, FabricTypedData.digest(separator, structHash));
        return abi.encodePacked(r, s, v);
    }

    // --- assertions ---

    function assertSame(CryptletId left, CryptletId right, string memory what) internal pure {
        vm.assertEq(CryptletId.unwrap(left), CryptletId.unwrap(right), what);
    }

    function assertSame(RegistrationId left, RegistrationId right, string memory what) internal pure {
        vm.assertEq(RegistrationId.unwrap(left), RegistrationId.unwrap(right), what);
    }
}
