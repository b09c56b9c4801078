// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAdministered} from "../src/interfaces/IAdministered.sol";
import {ICryptletPolicy} from "../src/interfaces/ICryptletPolicy.sol";
import {ICryptletRegistry} from "../src/interfaces/ICryptletRegistry.sol";
import {CRYPTLET_POLICY as POLICY, CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {Cryptlet} from "../src/types/Cryptlet.sol";
import {CreatedInstance} from "../src/types/Creation.sol";
import {CryptletId, RegistrationId} from "../src/types/Ids.sol";
import {ContainerKind, InstanceStatus} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {SoftwareEvidence} from "./support/TestDelegate.sol";
import {vm} from "./support/Vm.sol";

/// @notice Where the policy does not activate registrations by itself: they wait, count for nothing, and then do.
contract ActivationTest is FabricTest {
    CryptletId internal tools;

    function setUp() public override {
        super.setUp();
        tools = registerUtility("tools");
        _activateAutomatically(false);
    }

    // --- waiting ---

    function test_aPendingInstance_countsForNothing_untilTheAdministratorActivatesIt() public {
        RegistrationId id = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.assertTrue(REGISTRY.instance(id).status == InstanceStatus.Pending, "pending");
        vm.assertTrue(!REGISTRY.isInstanceActive(id), "does not count");
        vm.assertTrue(!REGISTRY.instanceState(id).isActive, "nor elsewhere");
        vm.assertTrue(!REGISTRY.isActiveSigner(tools, vm.addr(INSTANCE_KEY)), "nor does its key");
        Cryptlet memory entry = REGISTRY.cryptlet(tools);
        vm.assertEq(entry.activeInstances, 0, "instances");
        vm.assertEq(entry.keyEpoch, 0, "no epoch has begun");

        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotAdmin.selector, PUBLISHER, ADMIN));
        vm.prank(PUBLISHER);
        REGISTRY.activateInstance(id);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.InstanceActivated(id, ADMIN);
        _activate(id);
        vm.assertTrue(REGISTRY.isInstanceActive(id), "counts");
        entry = REGISTRY.cryptlet(tools);
        vm.assertEq(entry.activeInstances, 1, "instances");
        vm.assertEq(entry.keyEpoch, 1, "epoch");

        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotPending.selector, id, InstanceStatus.Active));
        _activate(id);
    }

    function test_aPendingInstance_canBeRevoked_andIsThenNeverActivated() public {
        RegistrationId id = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(id, "wrong machine");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotPending.selector, id, InstanceStatus.Revoked));
        _activate(id);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 0, "instances");
    }

    function test_aPendingInstance_thatWasForgotten_isOverWithItsKeys() public {
        RegistrationId id = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotExpired.selector, id, NOT_AFTER_BLOCK));
        REGISTRY.retireInstance(id);
        vm.roll(NOT_AFTER_BLOCK + 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.KeysExpired.selector, NOT_AFTER_BLOCK, NOT_AFTER_BLOCK + 1));
        _activate(id);
        REGISTRY.retireInstance(id);
        vm.assertTrue(REGISTRY.instance(id).status == InstanceStatus.Retired, "retired");
    }

    function test_activation_isRefusedWhereWhatWasRegisteredNoLongerFits() public {
        RegistrationId first = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        RegistrationId later = registerInstance(instanceOf(tools, 0x22, 2));
        _activate(later);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.StaleKeyEpoch.selector, 1, 2));
        _activate(first);
        REGISTRY.retireInstance(first);

        RegistrationId third = registerInstance(instanceOf(tools, 0x33, 9));
        vm.prank(PUBLISHER);
        REGISTRY.upgradeUtility(tools, keccak256("new code"), MANIFEST_DIGEST, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.WrongCodeDigest.selector, CODE_DIGEST, keccak256("new code")));
        _activate(third);
        RegistrationId unknown = RegistrationId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.UnknownInstance.selector, unknown));
        _activate(unknown);
    }

    function test_pendingInstances_takeNoRoom_butActivatingThemDoes() public {
        RegistrationId[3] memory ids;
        for (uint256 index; index < 3; ++index) {
            ids[index] = registerInstance(instanceOf(tools, 0x21 + index, 1));
        }
        _activate(ids[0]);
        _activate(ids[1]);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.TooManyInstances.selector, tools, 2));
        _activate(ids[2]);
    }

    function test_aKeyThatWaits_isNotRegisteredASecondTime() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        registerInstance(created);
        created.notAfterBlock += 1;
        created = signed(created, INSTANCE_KEY);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.SignerInUse.selector, tools, created.signer));
        registerInstance(created);
    }

    // --- rotation ---

    function test_rotation_takesPlaceWhenItIsActivated_andItsGraceBeginsThen() public {
        RegistrationId old = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        _activate(old);
        RegistrationId fresh = rotateKeys(PUBLISHER_KEY, instanceOf(tools, 0x22, 2), 5);
        vm.assertTrue(REGISTRY.isInstanceActive(old), "the old one counts");
        vm.assertEq(REGISTRY.cryptlet(tools).keyEpoch, 1, "no epoch has begun");
        vm.roll(40);
        _activate(fresh);
        vm.assertEq(REGISTRY.cryptlet(tools).keyEpoch, 2, "epoch");
        vm.assertEq(REGISTRY.cryptlet(tools).previousEpochUntil, 45, "until");
        vm.assertTrue(REGISTRY.isInstanceActive(old) && REGISTRY.isInstanceActive(fresh), "both count");
        vm.roll(46);
        vm.assertTrue(!REGISTRY.isInstanceActive(old), "no longer");
    }

    // --- renewal ---

    function test_renewal_ofTheSameEvidence_countsAtOnce() public {
        (RegistrationId first, CreatedInstance memory created) = _running();
        created.notAfterBlock += 100;
        RegistrationId second = renewInstance(PUBLISHER_KEY, first, signed(created, INSTANCE_KEY));
        vm.assertTrue(REGISTRY.isInstanceActive(first) && REGISTRY.isInstanceActive(second), "both count");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "instances");
    }

    function test_renewal_onAnotherStack_waits_andTheOldOneCountsMeanwhile() public {
        (RegistrationId first, CreatedInstance memory created) = _running();
        RegistrationId second = renewInstance(PUBLISHER_KEY, first, _onAnotherStack(created, 100));
        vm.assertTrue(REGISTRY.instance(first).status == InstanceStatus.Active, "the first is as it was");
        vm.assertTrue(REGISTRY.isActiveSigner(tools, created.signer), "its key counts");
        vm.assertTrue(!REGISTRY.isInstanceActive(second), "the second does not count");
        _activate(second);
        vm.assertTrue(REGISTRY.instance(first).status == InstanceStatus.Renewed, "the first is renewed");
        vm.assertTrue(REGISTRY.isInstanceActive(second), "the second counts");
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "it takes the room of one");
    }

    function test_renewals_ofOneRegistration_countOnce_andNotAfterItsRevocation() public {
        (RegistrationId first, CreatedInstance memory created) = _running();
        RegistrationId second = renewInstance(PUBLISHER_KEY, first, _onAnotherStack(created, 100));
        RegistrationId third = renewInstance(PUBLISHER_KEY, first, _onAnotherStack(created, 1));
        uint256 snapshot = vm.snapshotState();
        _activate(second);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotActive.selector, first));
        _activate(third);
        vm.revertToState(snapshot);
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(first, "key leaked");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotActive.selector, first));
        _activate(second);
    }

    function test_renewal_activatedAfterItsPredecessorWasCleared_takesARoom() public {
        (RegistrationId first, CreatedInstance memory created) = _running();
        RegistrationId second = renewInstance(PUBLISHER_KEY, first, _onAnotherStack(created, 100));
        vm.roll(NOT_AFTER_BLOCK + 1);
        REGISTRY.retireInstance(first);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 0, "cleared");
        _activate(second);
        vm.assertEq(REGISTRY.cryptlet(tools).activeInstances, 1, "instances");
    }

    function test_renewal_ofWhatWaits_isRefused() public {
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        RegistrationId first = registerInstance(created);
        created.notAfterBlock += 1;
        created = signed(created, INSTANCE_KEY);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InstanceNotActive.selector, first));
        renewInstance(PUBLISHER_KEY, first, created);
    }

    // --- versions ---

    function test_versionsOutsideTheWindow_areNotRegistered() public {
        vm.prank(ADMIN);
        POLICY.setAcceptedVersions(ContainerKind.Wasm, VERSION + 1, 0);
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        vm.expectRevert(
            abi.encodeWithSelector(ICryptletPolicy.VersionNotAccepted.selector, ContainerKind.Wasm, VERSION, VERSION + 1, 0)
        );
        registerInstance(created);
        created.version = VERSION + 1;
        registerInstance(signed(created, INSTANCE_KEY));
        created = instanceOf(tools, 0x22, 1);
        created.container = ContainerKind.Process;
        registerInstance(signed(created, 0x22));
    }

    function test_setAcceptedVersions_boundsBothEnds() public {
        vm.startPrank(ADMIN);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.InvalidVersions.selector, 6, 5));
        POLICY.setAcceptedVersions(ContainerKind.Evm, 6, 5);
        vm.expectEmit(address(POLICY));
        emit ICryptletPolicy.AcceptedVersionsChanged(ContainerKind.Evm, 5, 6, 3);
        POLICY.setAcceptedVersions(ContainerKind.Evm, 5, 6);
        vm.stopPrank();
        uint32[5] memory versions = [uint32(0), 4, 5, 6, 7];
        bool[5] memory accepted = [false, false, true, true, false];
        for (uint256 index; index < versions.length; ++index) {
            vm.assertEq(POLICY.isVersionAccepted(ContainerKind.Evm, versions[index]), accepted[index], "evm");
            vm.assertTrue(POLICY.isVersionAccepted(ContainerKind.Wasm, versions[index]), "wasm");
        }
    }

    // --- helpers ---

    function _activateAutomatically(bool isAutomatic) private {
        vm.prank(ADMIN);
        POLICY.setActivationAutomatic(isAutomatic);
    }

    function _activate(RegistrationId id) private {
        vm.prank(ADMIN);
        REGISTRY.activateInstance(id);
    }

    function _running() private returns (RegistrationId id, CreatedInstance memory created) {
        created = instanceOf(tools, INSTANCE_KEY, 1);
        id = registerInstance(created);
        _activate(id);
    }

    function _onAnotherStack(CreatedInstance memory created, uint64 longer) private view returns (CreatedInstance memory other) {
        other = instanceOf(tools, INSTANCE_KEY, 1);
        other.notAfterBlock = created.notAfterBlock + longer;
        other = signed(other, INSTANCE_KEY);
        SoftwareEvidence memory evidence = abi.decode(other.evidence, (SoftwareEvidence));
        evidence.measurement = keccak256("another stack");
        other.evidence = abi.encode(stated(evidence));
    }
}
