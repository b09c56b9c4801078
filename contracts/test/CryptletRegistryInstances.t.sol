// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICryptletPolicy} from "../src/interfaces/ICryptletPolicy.sol";
import {ICryptletRegistry} from "../src/interfaces/ICryptletRegistry.sol";
import {ICryptoDelegate, RefusalCodes} from "../src/interfaces/ICryptoDelegate.sol";
import {FabricTypedData} from "../src/libraries/FabricTypedData.sol";
import {CRYPTLET_POLICY as POLICY, CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {ContractCryptletTerms, Cryptlet, Instance, InstanceState} from "../src/types/Cryptlet.sol";
import {Authorization, CreatedInstance} from "../src/types/Creation.sol";
import {CryptletId, RegistrationId, contractCryptletId} from "../src/types/Ids.sol";
import {InstanceRegistration} from "../src/types/Signed.sol";
import {ContainerKind, CryptletKind, InstanceStatus, Isolation, Providers, SimulationPolicy} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {SoftwareEvidence} from "./support/TestDelegate.sol";
import {vm} from "./support/Vm.sol";

/// @notice The life of an instance: what it must show, whose word counts, and how it ends.
contract CryptletRegistryInstancesTest is FabricTest {
    CryptletId internal tools;

    function setUp() public override {
        super.setUp();
        tools = registerUtility("tools");
    }

    // --- what is kept ---

    function test_registerInstance_storesWhatWasShown() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId expected = registrationIdOf(created);
        Authorization memory authorization = authorized(PUBLISHER_KEY, created, RegistrationId.wrap(0), 0);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceAuthorized(expected, RegistrationId.wrap(0), 0, authorization);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceRegistered(
            tools, expected, created.signer, 1, NOT_AFTER_BLOCK, FabricTypedData.hash(_registrationOf(created))
        );
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceEvidence(expected, created);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.KeyEpochAdvanced(tools, 0, 1);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceActivated(expected, address(0));
        assertSame(registerInstance(created), expected, "id");

        Instance memory item = REGISTRY.instance(expected);
        vm.assertEq(item.signer, created.signer, "signer");
        vm.assertEq(item.keyEpoch, 1, "epoch");
        vm.assertEq(item.provider, Providers.SOFTWARE, "provider");
        vm.assertTrue(item.status == InstanceStatus.Active, "status");
        vm.assertTrue(item.isolation == Isolation.Process, "isolation");
        assertSame(item.cryptletId, tools, "cryptlet");
        vm.assertEq(item.codeDigest, CODE_DIGEST, "code");
        vm.assertEq(item.registeredBlock, block.number, "block");
        vm.assertEq(item.notAfterBlock, NOT_AFTER_BLOCK, "not after");
        vm.assertEq(item.evidenceExpires, block.timestamp + 365 days, "evidence expires");
        vm.assertEq(item.policyVersion, 1, "policy");
        vm.assertEq(item.measurement, MEASUREMENT, "measurement");
        vm.assertEq(item.hpkeKey, created.hpkeKey, "hpke");
        vm.assertEq(item.endorser, vm.addr(HOST_KEY), "endorser");
        vm.assertTrue(item.container == ContainerKind.Wasm, "container");
        vm.assertEq(item.version, VERSION, "version");

        vm.assertEq(
            FabricTypedData.hash(REGISTRY.instanceRegistration(expected)),
            FabricTypedData.hash(_registrationOf(created)),
            "registration"
        );
        assertSame(REGISTRY.instancesOf(tools)[0], expected, "instances");
        assertSame(REGISTRY.instanceOfSigner(tools, created.signer), expected, "instance of signer");
        vm.assertTrue(REGISTRY.isActiveSigner(tools, created.signer), "active signer");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "active instances");
        InstanceState memory state = REGISTRY.instanceState(expected);
        vm.assertTrue(state.isActive, "state is active");
        vm.assertEq(state.signer, created.signer, "state's signer");
    }

    // --- who may ---

    function test_registerInstance_byAdminOrApprovedOperator() public {
        registerInstance(ADMIN_KEY, instanceOf(tools, INSTANCE_KEY, 1));

        CreatedInstance memory second = instanceOf(tools, 0x22, 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotRegistrar.selector, STRANGER, tools));
        registerInstance(STRANGER_KEY, second);

        vm.prank(ADMIN);
        REGISTRY.setHostOperator(STRANGER, true);
        registerInstance(STRANGER_KEY, second);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 2, "active instances");
    }

    // --- what must hold of the keys ---

    function test_registerInstance_refusesAnotherKeysSignature() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        created.keysSignature = instanceOf(tools, 0x22, 1).keysSignature;
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.InvalidKeysSignature.selector, created.signer));
    }

    function test_registerInstance_refusesAMalleatedSignature() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        (bytes32 r, bytes32 s, uint8 v) = _split(created.keysSignature);
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        created.keysSignature = abi.encodePacked(r, bytes32(order - uint256(s)), v == 27 ? uint8(28) : uint8(27));
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.InvalidKeysSignature.selector, created.signer));
    }

    function test_registerInstance_refusesTheDryRunDomain() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        bytes32 dryRun = FabricTypedData.separator(FabricTypedData.DRY_RUN_NAME_HASH, domain());
        created.keysSignature = sign(INSTANCE_KEY, dryRun, RegistrationId.unwrap(registrationIdOf(created)));
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.InvalidKeysSignature.selector, created.signer));
    }

    function test_registerInstance_refusesTheZeroSigner() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        created.signer = address(0);
        created.evidence = abi.encode(evidenceOf(RegistrationId.unwrap(registrationIdOf(created))));
        created.keysSignature = new bytes(65);
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.InvalidKeysSignature.selector, address(0)));
    }

    function test_registerInstance_refusesWrongDigests() public {
        CreatedInstance memory created = instanceOf(tools, keccak256("other code"), INSTANCE_KEY, 1);
        _expectRefusal(
            created, abi.encodeWithSelector(ICryptletRegistry.WrongCodeDigest.selector, keccak256("other code"), CODE_DIGEST)
        );
        created = instanceOf(tools, INSTANCE_KEY, 1);
        created.manifestDigest = keccak256("other manifest");
        _expectRefusal(
            signed(created, INSTANCE_KEY),
            abi.encodeWithSelector(ICryptletRegistry.WrongManifestDigest.selector, keccak256("other manifest"), MANIFEST_DIGEST)
        );
    }

    function test_registerInstance_refusesUnknownCryptlets() public {
        CryptletId unknown = CryptletId.wrap(keccak256("unknown"));
        _expectRefusal(
            instanceOf(unknown, INSTANCE_KEY, 1), abi.encodeWithSelector(ICryptletRegistry.UnknownCryptlet.selector, unknown)
        );
    }

    function test_registerInstance_refusesTheSameKeysTwice() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId id = registerInstance(created);
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.InstanceExists.selector, id));
    }

    function test_registerInstance_refusesExpiredKeys() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        created.notAfterBlock = 9;
        _expectRefusal(signed(created, INSTANCE_KEY), abi.encodeWithSelector(ICryptletRegistry.KeysExpired.selector, 9, 10));
    }

    // --- what must hold of the anchor ---

    function test_registerInstance_refusesAnchorsThatAreNotAncestors() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        created.anchorBlock = 10;
        _expectRefusal(signed(created, INSTANCE_KEY), abi.encodeWithSelector(ICryptletRegistry.AnchorInFuture.selector, 10, 10));
        created.anchorBlock = 8;
        _expectRefusal(
            signed(created, INSTANCE_KEY),
            abi.encodeWithSelector(ICryptletRegistry.WrongAnchorHash.selector, 8, blockHashOf(9), blockHashOf(8))
        );
    }

    function test_registerInstance_refusesAnchorsOutOfReach_butNotGenesis() public {
        vm.roll(300);
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.AnchorTooOld.selector, 9, 300));
        created.anchorBlock = 0;
        created.anchorHash = GENESIS_HASH;
        registerInstance(signed(created, INSTANCE_KEY));
    }

    // --- what must hold of the evidence ---

    function test_registerInstance_refusesEvidenceForOtherKeys() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId id = registrationIdOf(created);
        bytes32 other = keccak256("other keys");
        created.evidence = abi.encode(evidenceOf(other));
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.EvidenceBindsOtherKeys.selector, other, id));
    }

    function test_registerInstance_refusesEvidenceThatItsHostDidNotSign() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        SoftwareEvidence memory evidence = _evidenceOf(created);
        evidence.host = STRANGER;
        created.evidence = abi.encode(evidence);
        _expectRefusal(
            created,
            abi.encodeWithSelector(
                ICryptoDelegate.CryptletError.selector, RefusalCodes.EVIDENCE_REJECTED, abi.encode("not signed by its host")
            )
        );
    }

    function test_registerInstance_refusesExpiredEvidence() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        SoftwareEvidence memory evidence = _evidenceOf(created);
        evidence.expires = uint64(block.timestamp - 1);
        created.evidence = abi.encode(stated(evidence));
        _expectRefusal(
            created, abi.encodeWithSelector(ICryptletRegistry.EvidenceExpired.selector, block.timestamp - 1, block.timestamp)
        );
    }

    function test_registerInstance_refusesLessIsolationThanTheCryptletSignedUpFor() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        SoftwareEvidence memory evidence = _evidenceOf(created);
        evidence.isolation = uint8(Isolation.None);
        created.evidence = abi.encode(stated(evidence));
        _expectRefusal(
            created, abi.encodeWithSelector(ICryptletRegistry.IsolationBelowCryptlet.selector, Isolation.None, Isolation.Process)
        );
    }

    function test_registerInstance_refusesWhatThePolicyDoesNotAccept() public {
        vm.prank(ADMIN);
        POLICY.setProviderAccepted(Providers.SOFTWARE, false);
        _expectRefusal(
            instanceOf(tools, INSTANCE_KEY, 1),
            abi.encodeWithSelector(ICryptletPolicy.ProviderNotAccepted.selector, Providers.SOFTWARE, 0)
        );
    }

    // --- how many, and rotation ---

    function test_registerInstance_refusesMoreThanTheMaximum() public {
        registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        registerInstance(instanceOf(tools, 0x22, 1));
        _expectRefusal(instanceOf(tools, 0x33, 1), abi.encodeWithSelector(ICryptletRegistry.TooManyInstances.selector, tools, 2));
    }

    function test_registerInstance_withAHigherEpochRetiresTheLowerOnes() public {
        RegistrationId first = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        RegistrationId second = registerInstance(instanceOf(tools, 0x22, 1));
        RegistrationId third = registerInstance(instanceOf(tools, 0x33, 5));
        vm.assertTrue(!REGISTRY.isInstanceActive(first), "first still counts");
        vm.assertTrue(!REGISTRY.isInstanceActive(second), "second still counts");
        vm.assertTrue(REGISTRY.isInstanceActive(third), "third does not count");
        Cryptlet memory entry = REGISTRY.cryptlet(tools);
        vm.assertEq(entry.keyEpoch, 5, "epoch");
        vm.assertEq(entry.activeInstances, 1, "instances");
        _expectRefusal(instanceOf(tools, 0x44, 4), abi.encodeWithSelector(ICryptletRegistry.StaleKeyEpoch.selector, 4, 5));
    }

    function test_registerInstance_refusesASignerThatIsInUse() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        registerInstance(created);
        created.notAfterBlock += 1;
        created = signed(created, INSTANCE_KEY);
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.SignerInUse.selector, tools, created.signer));
        created.keyEpoch = 2;
        registerInstance(signed(created, INSTANCE_KEY));
    }

    // --- rotation with grace ---

    function test_rotateKeys_letsTheOldEpochCountForTheGraceAndNoLonger() public {
        RegistrationId old = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.GracePeriodBegan(tools, 1, 10 + 5);
        RegistrationId fresh = rotateKeys(PUBLISHER_KEY, instanceOf(tools, 0x22, 2), 5);
        Cryptlet memory entry = REGISTRY.cryptlet(tools);
        vm.assertEq(entry.previousEpoch, 1, "previous epoch");
        vm.assertEq(entry.previousEpochUntil, 15, "until");
        vm.assertEq(entry.activeInstances, 1, "instances");
        vm.assertTrue(REGISTRY.isInstanceActive(old) && REGISTRY.isInstanceActive(fresh), "both count");
        vm.roll(15);
        vm.assertTrue(REGISTRY.isInstanceActive(old), "counts in the last block of its grace");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotExpired.selector, old, NOT_AFTER_BLOCK));
        REGISTRY.retireInstance(old);
        vm.roll(16);
        vm.assertTrue(!REGISTRY.isInstanceActive(old), "counts after its grace");
        vm.assertTrue(REGISTRY.isInstanceActive(fresh), "the new one counts");
        REGISTRY.retireInstance(old);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "instances at the end");
    }

    function test_rotateKeys_isBoundedByThePolicyAndNeedsAHigherEpoch() public {
        registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        CreatedInstance memory same = instanceOf(tools, 0x22, 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NoRotation.selector, 1, 1));
        rotateKeys(PUBLISHER_KEY, same, 5);
        vm.prank(ADMIN);
        POLICY.setRotationGraceBlocksMax(4);
        CreatedInstance memory next = instanceOf(tools, 0x22, 2);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.GraceTooLong.selector, 5, 4));
        rotateKeys(PUBLISHER_KEY, next, 5);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotRegistrar.selector, STRANGER, tools));
        rotateKeys(STRANGER_KEY, next, 1);
    }

    function test_aRevocation_aSuddenRotationAndAnUpgradeEndAGraceAtOnce() public {
        RegistrationId old = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        rotateKeys(PUBLISHER_KEY, instanceOf(tools, 0x22, 2), 5);
        uint256 snapshot = vm.snapshotState();
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(old, "key leaked");
        vm.assertTrue(!REGISTRY.isInstanceActive(old), "revoked within its grace");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "the new epoch's count");
        vm.revertToState(snapshot);
        registerInstance(instanceOf(tools, 0x33, 3));
        vm.assertTrue(!REGISTRY.isInstanceActive(old), "rotated out suddenly");
        vm.revertToState(snapshot);
        vm.prank(PUBLISHER);
        REGISTRY.upgradeUtility(tools, keccak256("new code"), MANIFEST_DIGEST, 0, 0);
        vm.assertTrue(!REGISTRY.isInstanceActive(old), "upgraded");
    }

    // --- renewal ---

    function test_renewInstance_prolongsTheSameKeysWithFreshEvidence() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId first = registerInstance(created);
        created.notAfterBlock = NOT_AFTER_BLOCK + 100;
        RegistrationId second = renewInstance(PUBLISHER_KEY, first, signed(created, INSTANCE_KEY));
        vm.assertTrue(REGISTRY.instance(first).status == InstanceStatus.Renewed, "status of the first");
        vm.assertTrue(REGISTRY.isInstanceActive(first) && REGISTRY.isInstanceActive(second), "both count");
        assertSame(REGISTRY.renewalOf(second), first, "renewal of");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "it takes the room of one");
        vm.roll(NOT_AFTER_BLOCK + 1);
        vm.assertTrue(!REGISTRY.isInstanceActive(first), "the first is over");
        vm.assertTrue(REGISTRY.isInstanceActive(second), "the second is not");
        REGISTRY.retireInstance(first);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "instances");
    }

    function test_renewInstance_again_leavesOneOldRegistrationAtMost() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId first = registerInstance(created);
        created.notAfterBlock += 1;
        RegistrationId second = renewInstance(INSTANCE_KEY, first, signed(created, INSTANCE_KEY));
        created.notAfterBlock += 1;
        RegistrationId third = renewInstance(INSTANCE_KEY, second, signed(created, INSTANCE_KEY));
        vm.assertTrue(REGISTRY.instance(first).status == InstanceStatus.Retired, "first");
        vm.assertTrue(REGISTRY.isInstanceActive(second) && REGISTRY.isInstanceActive(third), "the last two");
        // Its key leaked: whichever registration is named, both end.
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(second, "key leaked");
        vm.assertTrue(!REGISTRY.isInstanceActive(second) && !REGISTRY.isInstanceActive(third), "both revoked");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 0, "instances");
    }

    function test_renewInstance_refusesOtherKeysShorterTimesAndWhatIsOver() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId first = registerInstance(created);
        CreatedInstance memory other = instanceOf(tools, 0x22, 1);
        other.notAfterBlock += 1;
        _expectNoRenewal(first, signed(other, 0x22), abi.encodeWithSelector(ICryptletRegistry.NoRenewal.selector, first));
        created.notAfterBlock -= 1;
        _expectNoRenewal(
            first,
            signed(created, INSTANCE_KEY),
            abi.encodeWithSelector(ICryptletRegistry.RenewalTooShort.selector, NOT_AFTER_BLOCK - 1, NOT_AFTER_BLOCK)
        );
        created.notAfterBlock += 2;
        created = signed(created, INSTANCE_KEY);
        CreatedInstance memory stale = created;
        bytes memory fresh = created.evidence;
        stale.evidence = instanceOf(tools, INSTANCE_KEY, 1).evidence;
        RegistrationId shown = registrationIdOf(instanceOf(tools, INSTANCE_KEY, 1));
        _expectNoRenewal(
            first,
            stale,
            abi.encodeWithSelector(
                ICryptletRegistry.EvidenceBindsOtherKeys.selector, RegistrationId.unwrap(shown), registrationIdOf(stale)
            )
        );
        created.evidence = fresh;
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotRegistrar.selector, STRANGER, tools));
        renewInstance(STRANGER_KEY, first, created);
        vm.roll(NOT_AFTER_BLOCK + 1);
        _expectNoRenewal(first, created, abi.encodeWithSelector(ICryptletRegistry.InstanceNotActive.selector, first));
    }

    // --- caps ---

    function test_registerInstance_refusesKeysThatLiveLongerThanThePolicyAllows() public {
        vm.prank(ADMIN);
        POLICY.setKeyLifetimeBlocksMax(50);
        _expectRefusal(
            instanceOf(tools, INSTANCE_KEY, 1),
            abi.encodeWithSelector(ICryptletRegistry.KeysLiveTooLong.selector, NOT_AFTER_BLOCK, 50)
        );
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        created.notAfterBlock = uint64(block.number) + 50;
        registerInstance(signed(created, INSTANCE_KEY));
    }

    // --- how it ends ---

    function test_revokeInstance_byPublisherAdminOrItsOwnKey() public {
        _revokeBy(PUBLISHER, instanceOf(tools, INSTANCE_KEY, 1));
        _revokeBy(ADMIN, instanceOf(tools, 0x22, 1));
        _revokeBy(vm.addr(0x33), instanceOf(tools, 0x33, 1));
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 0, "active instances");
    }

    function test_revokeInstance_refusesStrangersAndASecondTime() public {
        RegistrationId id = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotPublisher.selector, STRANGER, PUBLISHER));
        vm.prank(STRANGER);
        REGISTRY.revokeInstance(id, "");
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(id, "");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotActive.selector, id));
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(id, "");
        RegistrationId unknown = RegistrationId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.UnknownInstance.selector, unknown));
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(unknown, "");
    }

    function test_revokeInstance_bansItsKeyForever() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId id = registerInstance(created);
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(id, "key leaked");
        created.keyEpoch = 2;
        created = signed(created, INSTANCE_KEY);
        _expectRefusal(created, abi.encodeWithSelector(ICryptletRegistry.SignerInUse.selector, tools, created.signer));
    }

    function test_retireInstance_makesRoomOnceItsTimeIsOver() public {
        RegistrationId id = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.roll(NOT_AFTER_BLOCK);
        vm.assertTrue(REGISTRY.isInstanceActive(id), "counts in its last block");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotExpired.selector, id, NOT_AFTER_BLOCK));
        REGISTRY.retireInstance(id);

        vm.roll(NOT_AFTER_BLOCK + 1);
        vm.assertTrue(!REGISTRY.isInstanceActive(id), "counts after its last block");
        vm.prank(STRANGER);
        REGISTRY.retireInstance(id);
        vm.assertTrue(REGISTRY.instance(id).status == InstanceStatus.Retired, "status");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 0, "active instances");
    }

    function test_retireInstance_ofAnOlderEpochLeavesTheCountAlone() public {
        RegistrationId old = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        registerInstance(instanceOf(tools, 0x22, 2));
        REGISTRY.retireInstance(old);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "active instances");
    }

    // --- Contract Cryptlets ---

    function test_registerContractCryptlet_bindsItToTheCaller() public {
        CryptletId expected = contractCryptletId(STRANGER, CODE_DIGEST);
        CreatedInstance memory created = instanceOf(expected, INSTANCE_KEY, 1);
        vm.prank(STRANGER);
        RegistrationId id = REGISTRY.registerContractCryptlet(_terms(), created);

        Cryptlet memory entry = REGISTRY.cryptlet(expected);
        vm.assertTrue(entry.kind == CryptletKind.Contract, "kind");
        vm.assertEq(entry.boundContract, STRANGER, "bound contract");
        vm.assertEq(entry.publisher, STRANGER, "publisher");
        vm.assertEq(entry.identityKey, created.signer, "identity");
        vm.assertEq(entry.name, "swap", "name");
        vm.assertTrue(REGISTRY.isInstanceActive(id), "first instance");
    }

    function test_registerContractCryptlet_refusesAnotherContractsCryptlet() public {
        CryptletId theirs = contractCryptletId(PUBLISHER, CODE_DIGEST);
        CryptletId mine = contractCryptletId(STRANGER, CODE_DIGEST);
        CreatedInstance memory created = instanceOf(theirs, INSTANCE_KEY, 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.WrongCryptletId.selector, theirs, mine));
        vm.prank(STRANGER);
        REGISTRY.registerContractCryptlet(_terms(), created);
    }

    // --- helpers ---

    function _expectRefusal(CreatedInstance memory created, bytes memory refusal) private {
        vm.expectRevert(refusal);
        registerInstance(created);
    }

    function _expectNoRenewal(RegistrationId previous, CreatedInstance memory created, bytes memory refusal) private {
        vm.expectRevert(refusal);
        renewInstance(PUBLISHER_KEY, previous, created);
    }

    function _revokeBy(address revoker, CreatedInstance memory created) private {
        RegistrationId id = registerInstance(created);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceRevoked(id, revoker, "key leaked");
        vm.prank(revoker);
        REGISTRY.revokeInstance(id, "key leaked");
        vm.assertTrue(!REGISTRY.isInstanceActive(id), "still counts");
        vm.assertTrue(!REGISTRY.isActiveSigner(tools, created.signer), "signer still counts");
    }

    function _registrationOf(CreatedInstance memory created) private view returns (InstanceRegistration memory) {
        return InstanceRegistration({
            instanceKeysHash: RegistrationId.unwrap(registrationIdOf(created)),
            provider: Providers.SOFTWARE,
            measurement: MEASUREMENT,
            evidenceHash: keccak256(created.evidence),
            endorsementsHash: keccak256(created.collateral),
            policyVersion: 1,
            registeredBlock: uint64(block.number)
        });
    }

    function _evidenceOf(CreatedInstance memory created) private pure returns (SoftwareEvidence memory) {
        return abi.decode(created.evidence, (SoftwareEvidence));
    }

    function _terms() private pure returns (ContractCryptletTerms memory) {
        return ContractCryptletTerms({
            name: "swap",
            headerDigest: 0,
            configDigest: 0,
            isolation: Isolation.Process,
            minimumInstances: 1,
            maximumInstances: 5,
            unitsMax: 1000,
            outputBytesMax: 1024,
            simulationPolicy: SimulationPolicy.Live,
            simulationStub: ""
        });
    }

    function _split(bytes memory signature) private pure returns (bytes32 r, bytes32 s, uint8 v) {
        assembly {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
            v := byte(0, mload(add(signature, 0x60)))
        }
    }
}
