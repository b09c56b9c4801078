// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAdministered} from "../src/interfaces/IAdministered.sol";
import {ICryptletRegistry} from "../src/interfaces/ICryptletRegistry.sol";
import {CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {Cryptlet, UtilityRegistration} from "../src/types/Cryptlet.sol";
import {CreatedInstance} from "../src/types/Creation.sol";
import {CryptletId, RegistrationId, utilityCryptletId} from "../src/types/Ids.sol";
import {CryptletKind, CryptletStatus, Isolation, SimulationPolicy} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

/// @notice The life of a utility cryptlet, and administration. Instances: `CryptletRegistryInstances.t.sol`.
contract CryptletRegistryTest is FabricTest {
    // --- initialize ---

    function test_initialize_refusesASecondTime() public {
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.AlreadyInitialized.selector, GENESIS_HASH));
        vm.prank(ADMIN);
        REGISTRY.initialize(GENESIS_HASH);
    }

    function test_initialize_refusesAnotherChainsGenesis() public {
        _forgetGenesis();
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.WrongGenesisHash.selector, keccak256("other"), GENESIS_HASH));
        vm.prank(ADMIN);
        REGISTRY.initialize(keccak256("other"));
    }

    function test_initialize_byAnyoneWhileTheHashIsChecked_byTheAdminLater() public {
        _forgetGenesis();
        uint256 snapshot = vm.snapshotState();
        vm.prank(STRANGER);
        REGISTRY.initialize(GENESIS_HASH);
        vm.assertEq(REGISTRY.genesisHash(), GENESIS_HASH, "genesis hash");
        vm.revertToState(snapshot);
        vm.roll(257);
        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotAdmin.selector, STRANGER, ADMIN));
        vm.prank(STRANGER);
        REGISTRY.initialize(GENESIS_HASH);
    }

    function test_initialize_isNeededBeforeInstances() public {
        CryptletId id = registerUtility("tools");
        CreatedInstance memory created = instanceOf(id, INSTANCE_KEY, 1);
        _forgetGenesis();
        vm.expectRevert(ICryptletRegistry.NotInitialized.selector);
        registerInstance(created);
    }

    // --- administration ---

    function test_admin_isHandedOverInTwoSteps() public {
        vm.prank(ADMIN);
        REGISTRY.proposeAdmin(STRANGER);
        vm.assertEq(REGISTRY.admin(), ADMIN, "admin before acceptance");
        vm.prank(STRANGER);
        REGISTRY.acceptAdmin();
        vm.assertEq(REGISTRY.admin(), STRANGER, "admin after acceptance");
        vm.assertEq(REGISTRY.pendingAdmin(), address(0), "pending admin");
    }

    function test_acceptAdmin_refusesOthers() public {
        vm.prank(ADMIN);
        REGISTRY.proposeAdmin(PUBLISHER);
        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotPendingAdmin.selector, STRANGER, PUBLISHER));
        vm.prank(STRANGER);
        REGISTRY.acceptAdmin();
    }

    function test_setFactory_byAdminOnlyAndForAnActiveCryptletOnly() public {
        CryptletId id = registerUtility("factory");
        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotAdmin.selector, PUBLISHER, ADMIN));
        vm.prank(PUBLISHER);
        REGISTRY.setFactory(id);

        vm.prank(ADMIN);
        REGISTRY.setFactory(id);
        assertSame(REGISTRY.factory(), id, "factory");

        CryptletId unknown = CryptletId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.UnknownCryptlet.selector, unknown));
        vm.prank(ADMIN);
        REGISTRY.setFactory(unknown);
    }

    // --- registerUtility ---

    function test_registerUtility_storesWhatWasSaid() public {
        UtilityRegistration memory said = utility("tools");
        said.simulationPolicy = SimulationPolicy.Stub;
        said.simulationStub = hex"c0ffee";
        CryptletId expected = utilityCryptletId(PUBLISHER, "tools");

        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.CryptletRegistered(
            expected, PUBLISHER, CryptletKind.Utility, "tools", CODE_DIGEST, MANIFEST_DIGEST
        );
        assertSame(registerUtility(said), expected, "id");

        Cryptlet memory entry = REGISTRY.cryptlet(expected);
        vm.assertEq(entry.publisher, PUBLISHER, "publisher");
        vm.assertTrue(entry.status == CryptletStatus.Active, "status");
        vm.assertTrue(entry.kind == CryptletKind.Utility, "kind");
        vm.assertTrue(entry.isolation == Isolation.Process, "isolation");
        vm.assertTrue(entry.simulationPolicy == SimulationPolicy.Stub, "simulation policy");
        vm.assertEq(entry.simulationStub, hex"c0ffee", "stub");
        vm.assertEq(entry.registeredBlock, block.number, "block");
        vm.assertEq(entry.codeDigest, CODE_DIGEST, "code");
        vm.assertEq(entry.manifestDigest, MANIFEST_DIGEST, "manifest");
        vm.assertEq(entry.headerDigest, said.headerDigest, "header");
        vm.assertEq(entry.configDigest, said.configDigest, "config");
        vm.assertEq(entry.boundContract, address(0), "bound contract");
        vm.assertEq(entry.minimumInstances, 1, "minimum");
        vm.assertEq(entry.maximumInstances, 2, "maximum");
        vm.assertEq(entry.unitsMax, 1_000_000, "units");
        vm.assertEq(entry.outputBytesMax, 4096, "output bytes");
        vm.assertEq(entry.identityKey, said.identityKey, "identity");
        vm.assertEq(entry.name, "tools", "name");
    }

    function test_registerUtility_listsInOrder() public {
        CryptletId first = registerUtility("first");
        CryptletId second = registerUtility("second");
        CryptletId third = registerUtility("third");
        vm.assertEq(REGISTRY.cryptletCount(), 3, "count");
        CryptletId[] memory page = REGISTRY.cryptletIds(1, 10);
        vm.assertEq(page.length, 2, "rest");
        assertSame(page[0], second, "second");
        assertSame(page[1], third, "third");
        assertSame(REGISTRY.cryptletIds(0, 1)[0], first, "first");
        vm.assertEq(REGISTRY.cryptletIds(3, 1).length, 0, "past the end");
    }

    function test_registerUtility_refusesTheSameNameTwice() public {
        CryptletId id = registerUtility("tools");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.CryptletExists.selector, id));
        registerUtility("tools");
    }

    function test_registerUtility_refusesNonsense() public {
        UtilityRegistration memory said = utility("");
        _expectRefusal(said, abi.encodeWithSelector(ICryptletRegistry.EmptyName.selector));
        said = utility("tools");
        said.codeDigest = bytes32(0);
        _expectRefusal(said, abi.encodeWithSelector(ICryptletRegistry.ZeroDigest.selector));
        said = utility("tools");
        said.minimumInstances = 0;
        _expectRefusal(said, abi.encodeWithSelector(ICryptletRegistry.InvalidInstanceBounds.selector, 0, 2));
        said = utility("tools");
        said.minimumInstances = 3;
        _expectRefusal(said, abi.encodeWithSelector(ICryptletRegistry.InvalidInstanceBounds.selector, 3, 2));
        said = utility("tools");
        said.unitsMax = 0;
        _expectRefusal(said, abi.encodeWithSelector(ICryptletRegistry.InvalidUnits.selector, 0));
    }

    // --- upgradeUtility ---

    function test_upgradeUtility_retiresInstancesOfTheOldCode() public {
        CryptletId id = registerUtility("tools");
        RegistrationId old = registerInstance(instanceOf(id, INSTANCE_KEY, 1));
        vm.prank(PUBLISHER);
        REGISTRY.upgradeUtility(id, keccak256("code 2"), MANIFEST_DIGEST, 0, 0);

        vm.assertTrue(!REGISTRY.isInstanceActive(old), "old instance still counts");
        vm.assertEq(REGISTRY.cryptlet(id).keyEpoch, 2, "epoch");
        vm.assertEq(REGISTRY.cryptlet(id).activeInstances, 0, "instances");
        RegistrationId fresh = registerInstance(instanceOf(id, keccak256("code 2"), 0x22, 2));
        vm.assertTrue(REGISTRY.isInstanceActive(fresh), "new instance");
    }

    function test_upgradeUtility_refusesOthers() public {
        CryptletId id = registerUtility("tools");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotPublisher.selector, ADMIN, PUBLISHER));
        vm.prank(ADMIN);
        REGISTRY.upgradeUtility(id, keccak256("code 2"), MANIFEST_DIGEST, 0, 0);
    }

    function test_setSimulationStub_byPublisherOnly() public {
        CryptletId id = registerUtility("tools");
        vm.prank(PUBLISHER);
        REGISTRY.setSimulationStub(id, hex"01");
        vm.assertEq(REGISTRY.cryptlet(id).simulationStub, hex"01", "stub");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotPublisher.selector, STRANGER, PUBLISHER));
        vm.prank(STRANGER);
        REGISTRY.setSimulationStub(id, hex"02");
    }

    // --- suspend, resume, revoke ---

    function test_suspendCryptlet_stopsItsInstancesUntilResumed() public {
        CryptletId id = registerUtility("tools");
        RegistrationId registration = registerInstance(instanceOf(id, INSTANCE_KEY, 1));
        vm.prank(PUBLISHER);
        REGISTRY.suspendCryptlet(id);
        vm.assertTrue(!REGISTRY.isInstanceActive(registration), "counts while suspended");
        vm.prank(PUBLISHER);
        REGISTRY.resumeCryptlet(id);
        vm.assertTrue(REGISTRY.isInstanceActive(registration), "does not count after resuming");
    }

    function test_resumeCryptlet_refusesThePublisherIfTheAdminSuspended() public {
        CryptletId id = registerUtility("tools");
        vm.prank(ADMIN);
        REGISTRY.suspendCryptlet(id);
        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotAdmin.selector, PUBLISHER, ADMIN));
        vm.prank(PUBLISHER);
        REGISTRY.resumeCryptlet(id);
        vm.prank(ADMIN);
        REGISTRY.resumeCryptlet(id);
        vm.assertTrue(REGISTRY.cryptlet(id).status == CryptletStatus.Active, "status");
    }

    function test_resumeCryptlet_refusesWhatIsNotSuspended() public {
        CryptletId id = registerUtility("tools");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.CryptletNotSuspended.selector, id, CryptletStatus.Active));
        vm.prank(PUBLISHER);
        REGISTRY.resumeCryptlet(id);
    }

    function test_suspendCryptlet_refusesStrangers() public {
        CryptletId id = registerUtility("tools");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotPublisher.selector, STRANGER, PUBLISHER));
        vm.prank(STRANGER);
        REGISTRY.suspendCryptlet(id);
    }

    function test_revokeCryptlet_isFinal() public {
        CryptletId id = registerUtility("tools");
        CreatedInstance memory created = instanceOf(id, INSTANCE_KEY, 1);
        vm.expectEmit(address(REGISTRY));
        emit ICryptletRegistry.CryptletRevoked(id, PUBLISHER, "wrong prices");
        vm.prank(PUBLISHER);
        REGISTRY.revokeCryptlet(id, "wrong prices");

        bytes memory notActive = abi.encodeWithSelector(ICryptletRegistry.CryptletNotActive.selector, id, CryptletStatus.Revoked);
        vm.expectRevert(notActive);
        registerInstance(created);
        vm.expectRevert(notActive);
        vm.prank(PUBLISHER);
        REGISTRY.revokeCryptlet(id, "again");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.CryptletNotSuspended.selector, id, CryptletStatus.Revoked));
        vm.prank(ADMIN);
        REGISTRY.resumeCryptlet(id);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.CryptletExists.selector, id));
        registerUtility("tools");
    }

    function _expectRefusal(UtilityRegistration memory said, bytes memory refusal) private {
        vm.expectRevert(refusal);
        registerUtility(said);
    }

    function _forgetGenesis() private {
        vm.store(address(REGISTRY), bytes32(uint256(2)), bytes32(0));
    }
}
