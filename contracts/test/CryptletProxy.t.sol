// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletProxy} from "../src/CryptletProxy.sol";
import {ICryptoDelegate, RefusalCodes} from "../src/interfaces/ICryptoDelegate.sol";
import {CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {CryptletId, RegistrationId} from "../src/types/Ids.sol";
import {CryptletStatus} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

contract Doubler {
    error TooLarge(uint256 number);

    function double(uint256 number) external pure returns (uint256) {
        if (number > 100) revert TooLarge(number);
        return number * 2;
    }
}

contract DoublerClient is CryptletProxy {
    constructor(CryptletId cryptlet_, address publicKey_, address attestedHost_)
        CryptletProxy("doubler", cryptlet_, publicKey_, attestedHost_, "Doubler")
    {}

    function double(uint256 number) external returns (uint256) {
        return abi.decode(_invoke(abi.encodeCall(Doubler.double, (number))), (uint256));
    }
}

contract CryptletProxyTest is FabricTest {
    CryptletId internal doubler;

    function setUp() public override {
        super.setUp();
        doubler = serveUtility("doubler", address(new Doubler()));
    }

    function test_constructor_keepsWhatWasWrittenDown() public {
        DoublerClient client = new DoublerClient(doubler, IDENTITY, vm.addr(HOST_KEY));
        vm.assertEq(client.owner(), address(this), "owner");
        vm.assertEq(client.name(), "doubler", "name");
        vm.assertEq(client.interfaceName(), "Doubler", "interface");
        vm.assertEq(client.publicKey(), IDENTITY, "public key");
        vm.assertEq(client.attestedHost(), vm.addr(HOST_KEY), "host");
        assertSame(client.cryptlet(), doubler, "cryptlet");
    }

    function test_constructor_refusesWhatIsNotThere() public {
        CryptletId unknown = CryptletId.wrap(keccak256("unknown"));
        vm.expectRevert(abi.encodeWithSelector(CryptletProxy.CryptletNotAvailable.selector, unknown, CryptletStatus.None));
        new DoublerClient(unknown, address(0), address(0));
    }

    function test_constructor_refusesAnotherPublicKey() public {
        vm.expectRevert(abi.encodeWithSelector(CryptletProxy.WrongPublicKey.selector, doubler, STRANGER, IDENTITY));
        new DoublerClient(doubler, STRANGER, address(0));
    }

    function test_invoke_isAFunctionCall() public {
        DoublerClient client = new DoublerClient(doubler, address(0), address(0));
        vm.assertEq(client.double(21), 42, "answer");
    }

    function test_invoke_passesTheCryptletsFailureOn() public {
        DoublerClient client = new DoublerClient(doubler, address(0), address(0));
        bytes memory failure = abi.encodeWithSelector(Doubler.TooLarge.selector, 101);
        vm.expectRevert(abi.encodeWithSelector(ICryptoDelegate.CryptletError.selector, RefusalCodes.CRYPTLET_FAILED, failure));
        client.double(101);
    }

    function test_isAttested_asksForTheHostThatWasWrittenDown() public {
        vm.assertTrue(new DoublerClient(doubler, address(0), address(0)).isAttested(), "any host");
        vm.assertTrue(new DoublerClient(doubler, address(0), vm.addr(HOST_KEY)).isAttested(), "its host");
        vm.assertTrue(!new DoublerClient(doubler, address(0), STRANGER).isAttested(), "another host");
    }

    function test_isAttested_endsWithTheInstance() public {
        DoublerClient client = new DoublerClient(doubler, address(0), address(0));
        RegistrationId instance = REGISTRY.instancesOf(doubler)[0];
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(instance, "");
        vm.assertTrue(!client.isAttested(), "after revocation");
    }
}
