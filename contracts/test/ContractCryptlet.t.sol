// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ContractCryptlet} from "../src/ContractCryptlet.sol";
import {ICryptletRegistry} from "../src/interfaces/ICryptletRegistry.sol";
import {ICryptoDelegate, RefusalCodes} from "../src/interfaces/ICryptoDelegate.sol";
import {CRYPTLET_REGISTRY as REGISTRY, CRYPTO_DELEGATE} from "../src/libraries/SystemContracts.sol";
import {Cryptlet} from "../src/types/Cryptlet.sol";
import {CreateConfig, CreatedInstance} from "../src/types/Creation.sol";
import {CryptletId, contractCryptletId} from "../src/types/Ids.sol";
import {CryptletStatus, Isolation} from "../src/types/Words.sol";
import {FabricTest, ITestFactory} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

/// A counter whose additions are carried out by its cryptlet.
contract Counter is ContractCryptlet {
    uint256 public total;

    constructor(CreateConfig memory config) ContractCryptlet("counter", config) {}

    function add(uint256 amount) external delegated returns (uint256) {
        amount;
        return total;
    }

    function setTotal(uint256 total_) external onlyCryptlet {
        total = total_;
    }

    function stateSnapshot() public view override returns (bytes memory) {
        return abi.encode(total);
    }

    function _applyState(bytes calldata snapshot) internal override {
        total = abi.decode(snapshot, (uint256));
    }
}

/// The counter's cryptlet.
contract CounterCryptlet {
    error Overflow(uint256 total);

    function delegated(bytes calldata msgData, bytes calldata snapshot) external pure returns (bytes memory) {
        uint256 amount = abi.decode(msgData[4:], (uint256));
        uint256 total = abi.decode(snapshot, (uint256));
        if (amount > 1000) revert Overflow(total);
        return abi.encode(total + amount);
    }
}

contract EagerCounter is Counter {
    constructor(CreateConfig memory config) Counter(config) {
        CRYPTO_DELEGATE.invoke(cryptlet, abi.encodeWithSignature("delegated(bytes,bytes)", "", ""));
    }
}

contract ContractCryptletTest is FabricTest {
    Counter internal counter;

    function setUp() public override {
        super.setUp();
        counter = new Counter(_config());
        delegate().setProgram(counter.cryptlet(), address(new CounterCryptlet()));
        vm.roll(11);
    }

    // --- creation ---

    function test_constructor_bindsContractAndCryptlet() public view {
        CryptletId id = contractCryptletId(address(counter), CODE_DIGEST);
        assertSame(counter.cryptlet(), id, "id");
        vm.assertEq(counter.publicKey(), vm.addr(INSTANCE_KEY), "public key");
        vm.assertEq(counter.codeDigest(), CODE_DIGEST, "code");
        vm.assertEq(counter.minimumInstances(), 1, "minimum");
        vm.assertEq(counter.maximumInstances(), 5, "maximum");

        Cryptlet memory entry = REGISTRY.cryptlet(id);
        vm.assertEq(entry.boundContract, address(counter), "bound contract");
        vm.assertEq(entry.publisher, address(counter), "publisher");
        vm.assertEq(entry.unitsMax, 50_000, "units");
        vm.assertEq(entry.outputBytesMax, 1024, "output bytes");
        vm.assertEq(entry.configDigest, keccak256('{"name":"counter"}'), "config");
        vm.assertEq(entry.name, "counter", "name");
        vm.assertTrue(entry.isolation == Isolation.Process, "isolation");
    }

    function test_constructor_passesCodeInline() public {
        CreateConfig memory config = _config();
        config.packageDigest = 0;
        config.code = hex"0061736d";
        nextInstanceKey = 0x22;
        Counter other = new Counter(config);
        vm.assertEq(other.codeDigest(), keccak256(hex"0061736d"), "code");
    }

    function test_constructor_failsWithoutAFactory() public {
        delegate().setFactory(ITestFactory(address(0)));
        vm.expectRevert(abi.encodeWithSelector(ICryptoDelegate.CryptletError.selector, RefusalCodes.NO_FACTORY, ""));
        new Counter(_config());
    }

    function test_constructor_failsIfTheInstanceIsNotForIt() public {
        delegate().setFactory(new WrongFactory(instanceOf(counter.cryptlet(), CODE_DIGEST, 0x22, 1)));
        vm.expectPartialRevert(ICryptletRegistry.WrongCryptletId.selector);
        new Counter(_config());
    }

    function test_constructor_cannotCallTheCryptletInTheSameBlock() public {
        CreateConfig memory config = _config();
        nextInstanceKey = 0x22;
        vm.expectPartialRevert(ICryptoDelegate.CryptletError.selector);
        new EagerCounter(config);
    }

    // --- delegated ---

    function test_delegated_appliesWhatTheCryptletReturns() public {
        vm.assertEq(counter.add(40), 40, "returned on the new state");
        counter.add(2);
        vm.assertEq(counter.total(), 42, "total");
    }

    function test_delegated_handsOverCallDataAndSnapshot() public {
        counter.add(7);
        bytes memory msgData = abi.encodeCall(Counter.add, (8));
        bytes memory input = abi.encodeWithSignature("delegated(bytes,bytes)", msgData, abi.encode(7));
        vm.expectCall(address(CRYPTO_DELEGATE), abi.encodeCall(ICryptoDelegate.invoke, (counter.cryptlet(), input)));
        counter.add(8);
    }

    function test_delegated_announcesTheNewState() public {
        vm.expectEmit(address(counter));
        emit ContractCryptlet.StateUpdated(keccak256(abi.encode(5)));
        counter.add(5);
    }

    function test_delegated_leavesTheStateAloneIfTheCryptletFails() public {
        counter.add(5);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICryptoDelegate.CryptletError.selector,
                RefusalCodes.CRYPTLET_FAILED,
                abi.encodeWithSelector(CounterCryptlet.Overflow.selector, 5)
            )
        );
        counter.add(1001);
        vm.assertEq(counter.total(), 5, "total");
    }

    function test_delegated_stopsWithTheCryptlet() public {
        CryptletId id = counter.cryptlet();
        vm.prank(ADMIN);
        REGISTRY.suspendCryptlet(id);
        vm.expectRevert(
            abi.encodeWithSelector(
                ICryptoDelegate.CryptletError.selector, RefusalCodes.INACTIVE_CRYPTLET, abi.encode(id, CryptletStatus.Suspended)
            )
        );
        counter.add(1);
    }

    function test_invoke_isForTheBoundContractOnly() public {
        CryptletId id = counter.cryptlet();
        vm.expectRevert(
            abi.encodeWithSelector(
                ICryptoDelegate.CryptletError.selector, RefusalCodes.NOT_BOUND_CONTRACT, abi.encode(address(counter))
            )
        );
        vm.prank(STRANGER);
        CRYPTO_DELEGATE.invoke(id, "");
    }

    // --- onlyCryptlet ---

    function testFuzz_onlyCryptlet_refusesEveryoneElse(address caller) public {
        vm.assume(caller != address(counter) && caller != vm.addr(INSTANCE_KEY));
        vm.startPrank(caller);
        vm.expectRevert(abi.encodeWithSelector(ContractCryptlet.OnlyCryptlet.selector, caller));
        counter.updateState(abi.encode(1));
        vm.expectRevert(abi.encodeWithSelector(ContractCryptlet.OnlyCryptlet.selector, caller));
        counter.setTotal(1);
        vm.stopPrank();
    }

    function test_onlyCryptlet_admitsTheInstancesKeyWhileItCounts() public {
        address key = vm.addr(INSTANCE_KEY);
        vm.prank(key);
        counter.setTotal(9);
        vm.prank(key);
        counter.updateState(abi.encode(10));
        vm.assertEq(counter.total(), 10, "total");

        CreatedInstance memory rotated = instanceOf(counter.cryptlet(), CODE_DIGEST, 0x22, 2);
        registerInstance(ADMIN_KEY, rotated);
        vm.expectRevert(abi.encodeWithSelector(ContractCryptlet.OnlyCryptlet.selector, key));
        vm.prank(key);
        counter.setTotal(11);
        vm.prank(vm.addr(0x22));
        counter.setTotal(12);
    }

    function test_onlyCryptlet_refusesAnotherCryptletsKey() public {
        CryptletId tools = registerUtility("tools");
        registerInstance(instanceOf(tools, 0x33, 1));
        vm.expectRevert(abi.encodeWithSelector(ContractCryptlet.OnlyCryptlet.selector, vm.addr(0x33)));
        vm.prank(vm.addr(0x33));
        counter.setTotal(1);
    }

    function _config() private pure returns (CreateConfig memory) {
        return CreateConfig({
            packageDigest: CODE_DIGEST,
            code: "",
            minimumInstances: 1,
            maximumInstances: 5,
            isolation: Isolation.Process,
            unitsMax: 50_000,
            outputBytesMax: 1024,
            configJson: '{"name":"counter"}'
        });
    }
}

/// Hands out the same instance to everyone.
contract WrongFactory is ITestFactory {
    bytes private instance;

    constructor(CreatedInstance memory instance_) {
        instance = abi.encode(instance_);
    }

    function create(address, CreateConfig calldata) external view returns (CreatedInstance memory) {
        return abi.decode(instance, (CreatedInstance));
    }
}
