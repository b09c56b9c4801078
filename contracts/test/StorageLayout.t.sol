// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CRYPTLET_POLICY as POLICY, CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {CryptletId, RegistrationId} from "../src/types/Ids.sol";
import {ContainerKind, Isolation, Providers} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

/// @notice The slots that the delegate reads and genesis writes, by hand: they are consensus. A failure here means that the layout
/// moved, which makes another chain.
contract StorageLayoutTest is FabricTest {
    uint256 private constant FACTORY_SLOT = 3;
    uint256 private constant CRYPTLETS_SLOT = 4;
    uint256 private constant INSTANCES_SLOT = 5;
    uint256 private constant RULES_SLOT = 2;

    function test_cryptlet_slots0to3() public {
        CryptletId id = registerUtility("tools");
        registerInstance(instanceOf(id, INSTANCE_KEY, 7));
        uint256 base = uint256(keccak256(abi.encode(id, CRYPTLETS_SLOT)));

        uint256 slot0 = _load(base);
        vm.assertEq(address(uint160(slot0)), PUBLISHER, "publisher");
        vm.assertEq(uint8(slot0 >> 160), 1, "status active");
        vm.assertEq(uint8(slot0 >> 168), 1, "kind utility");
        vm.assertEq(uint8(slot0 >> 176), 1, "isolation process");
        vm.assertEq(uint8(slot0 >> 184), 0, "simulation live");
        vm.assertEq(uint64(slot0 >> 192), block.number, "registered block");
        vm.assertEq(bytes32(_load(base + 1)), CODE_DIGEST, "code digest");
        uint256 slot2 = _load(base + 2);
        vm.assertEq(address(uint160(slot2)), address(0), "bound contract");
        vm.assertEq(uint16(slot2 >> 160), 1, "minimum instances");
        vm.assertEq(uint16(slot2 >> 176), 2, "maximum instances");
        vm.assertEq(uint32(slot2 >> 192), 4096, "output bytes max");
        vm.assertEq(uint32(slot2 >> 224), 1, "active instances");
        uint256 slot3 = _load(base + 3);
        vm.assertEq(uint64(slot3), 1_000_000, "units max");
        vm.assertEq(uint64(slot3 >> 64), 7, "key epoch");
    }

    function test_cryptlet_slot3_ofRotatedKeys() public {
        CryptletId id = registerUtility("tools");
        registerInstance(instanceOf(id, INSTANCE_KEY, 7));
        rotateKeys(PUBLISHER_KEY, instanceOf(id, 0x22, 9), 5);
        uint256 slot3 = _load(uint256(keccak256(abi.encode(id, CRYPTLETS_SLOT))) + 3);
        vm.assertEq(uint64(slot3 >> 64), 9, "key epoch");
        vm.assertEq(uint64(slot3 >> 128), 7, "previous epoch");
        vm.assertEq(uint64(slot3 >> 192), block.number + 5, "previous epoch until");
    }

    function test_policyLists() public {
        vm.startPrank(ADMIN);
        POLICY.revokeMeasurement(Providers.TDX, MEASUREMENT, "bug");
        POLICY.setEndorserListed(STRANGER, true);
        POLICY.setAcceptedVersions(ContainerKind.Evm, 1_000, 2_000);
        vm.stopPrank();
        bytes32 ofProvider = keccak256(abi.encode(Providers.TDX, uint256(3)));
        vm.assertEq(uint256(vm.load(address(POLICY), keccak256(abi.encode(MEASUREMENT, ofProvider)))), 2, "revoked");
        vm.assertEq(uint256(vm.load(address(POLICY), keccak256(abi.encode(STRANGER, uint256(4))))), 1, "accepted");
        uint256 versions = uint256(vm.load(address(POLICY), keccak256(abi.encode(ContainerKind.Evm, uint256(5)))));
        vm.assertEq(versions, 1_000 | 2_000 << 32, "versions");
    }

    function test_instance_slots0to3() public {
        CryptletId id = registerUtility("tools");
        RegistrationId registration = registerInstance(instanceOf(id, INSTANCE_KEY, 7));
        uint256 base = uint256(keccak256(abi.encode(registration, INSTANCES_SLOT)));

        uint256 slot0 = _load(base);
        vm.assertEq(address(uint160(slot0)), vm.addr(INSTANCE_KEY), "signer");
        vm.assertEq(uint64(slot0 >> 160), 7, "key epoch");
        vm.assertEq(uint16(slot0 >> 224), Providers.SOFTWARE, "provider");
        vm.assertEq(uint8(slot0 >> 240), 1, "status active");
        vm.assertEq(uint8(slot0 >> 248), 1, "isolation process");
        vm.assertEq(bytes32(_load(base + 1)), CryptletId.unwrap(id), "cryptlet");
        vm.assertEq(bytes32(_load(base + 2)), CODE_DIGEST, "code digest");
        uint256 slot3 = _load(base + 3);
        vm.assertEq(uint64(slot3), block.number, "registered block");
        vm.assertEq(uint64(slot3 >> 64), NOT_AFTER_BLOCK, "not after block");
        vm.assertEq(uint32(slot3 >> 192), 1, "policy version");
        vm.assertEq(uint32(slot3 >> 224), 0, "grace blocks");
        vm.assertEq(bytes32(_load(base + 4)), MEASUREMENT, "measurement");
        uint256 slot8 = _load(base + 8);
        vm.assertEq(address(uint160(slot8)), vm.addr(HOST_KEY), "endorser");
        vm.assertEq(uint8(slot8 >> 160), 1, "container wasm");
        vm.assertEq(uint32(slot8 >> 168), VERSION, "version");
    }

    function test_factory() public {
        CryptletId id = registerUtility("factory");
        vm.prank(ADMIN);
        REGISTRY.setFactory(id);
        vm.assertEq(vm.load(address(REGISTRY), bytes32(FACTORY_SLOT)), CryptletId.unwrap(id), "factory");
    }

    function test_policyRules() public {
        vm.prank(ADMIN);
        POLICY.setProviderAccepted(Providers.NITRO, true);
        uint256 rules = uint256(vm.load(address(POLICY), bytes32(RULES_SLOT)));
        vm.assertEq(uint32(rules), 2, "version");
        vm.assertEq(uint32(rules >> 32), 1 << Providers.SOFTWARE | 1 << Providers.NITRO, "accepted providers");
        vm.assertEq(uint8(rules >> 64), uint8(Isolation.Process), "minimum isolation");
        vm.assertEq(uint8(rules >> 72), 0, "endorsers restricted");
        vm.assertEq(uint32(rules >> 80), 0, "restricted providers");
        vm.assertEq(uint8(rules >> 112), 0, "tolerated platforms");
        vm.assertEq(uint32(rules >> 120), 0, "lifetime of keys");
        vm.assertEq(uint32(rules >> 152), 7200, "grace");
        vm.assertEq(uint8(rules >> 184), 1, "activation is automatic");
    }

    function _load(uint256 slot) private view returns (uint256) {
        return uint256(vm.load(address(REGISTRY), bytes32(slot)));
    }
}
