// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Administrators} from "../src/Administrators.sol";
import {IAdministered} from "../src/interfaces/IAdministered.sol";
import {IAdministrators} from "../src/interfaces/IAdministrators.sol";
import {CRYPTLET_POLICY as POLICY, CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {Isolation, Providers} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

/// @notice Two of three rule the policy and the registry; one alone rules nothing.
contract AdministratorsTest is FabricTest {
    address internal constant ANN = address(0xA1);
    address internal constant BOB = address(0xB0);
    address internal constant CAT = address(0xCA);
    Administrators internal council;

    function setUp() public override {
        super.setUp();
        council = new Administrators();
        // As genesis writes it.
        vm.store(address(council), bytes32(0), bytes32(uint256(2) | uint256(3) << 32));
        address[3] memory members = [ANN, BOB, CAT];
        for (uint256 index; index < members.length; ++index) {
            vm.store(address(council), keccak256(abi.encode(members[index], uint256(1))), bytes32(uint256(1)));
        }
        vm.store(address(POLICY), bytes32(0), bytes32(uint256(uint160(address(council)))));
        vm.store(address(REGISTRY), bytes32(0), bytes32(uint256(uint160(address(council)))));
    }

    function test_genesis_isReadAsWritten() public view {
        vm.assertEq(council.threshold(), 2, "threshold");
        vm.assertEq(council.memberCount(), 3, "members");
        vm.assertTrue(council.isMember(ANN) && council.isMember(BOB) && council.isMember(CAT), "membership");
        vm.assertTrue(!council.isMember(STRANGER), "a stranger is no member");
    }

    function test_aProposal_isMadeWithTheSecondApproval_andNotBefore() public {
        uint256 id = _propose(ANN, _acceptTdx());
        vm.assertTrue(!POLICY.isProviderAccepted(Providers.TDX), "one is not enough");
        vm.expectEmit(address(council));
        emit IAdministrators.Approved(id, BOB, 2);
        vm.prank(BOB);
        council.approve(id);
        vm.assertTrue(POLICY.isProviderAccepted(Providers.TDX), "two are");
        vm.assertTrue(council.proposal(id).isDone, "done");
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.ProposalOver.selector, id));
        vm.prank(CAT);
        council.approve(id);
    }

    function test_noOne_rulesAlone() public {
        vm.expectRevert(abi.encodeWithSelector(IAdministered.NotAdmin.selector, ANN, address(council)));
        vm.prank(ANN);
        POLICY.setMinimumIsolation(Isolation.None);
        uint256 id = _propose(ANN, _acceptTdx());
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.AlreadyApproved.selector, id, ANN));
        vm.prank(ANN);
        council.approve(id);
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.NotMember.selector, STRANGER));
        vm.prank(STRANGER);
        council.approve(id);
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.NotMember.selector, STRANGER));
        vm.prank(STRANGER);
        council.propose(address(POLICY), _acceptTdx());
    }

    function test_anApproval_canBeTakenBack() public {
        uint256 id = _propose(ANN, _acceptTdx());
        vm.prank(ANN);
        council.withdrawApproval(id);
        vm.prank(BOB);
        council.approve(id);
        vm.assertTrue(!POLICY.isProviderAccepted(Providers.TDX), "one is left");
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.NotApproved.selector, id, CAT));
        vm.prank(CAT);
        council.withdrawApproval(id);
        vm.prank(CAT);
        council.approve(id);
        vm.assertTrue(POLICY.isProviderAccepted(Providers.TDX), "two again");
    }

    function test_aProposal_doesNotWaitForEver() public {
        uint256 id = _propose(ANN, _acceptTdx());
        uint64 until = council.proposal(id).untilBlock;
        vm.roll(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.ProposalOver.selector, id));
        vm.prank(BOB);
        council.approve(id);
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.UnknownProposal.selector, id + 1));
        vm.prank(BOB);
        council.approve(id + 1);
    }

    function test_aCallThatReverts_leavesTheProposalOpen() public {
        uint256 id = _propose(ANN, abi.encodeCall(POLICY.setProviderAccepted, (32, true)));
        vm.expectPartialRevert(bytes4(keccak256("ProviderOutOfRange(uint16,uint16)")));
        vm.prank(BOB);
        council.approve(id);
        vm.assertTrue(!council.proposal(id).isDone, "not done");
        vm.assertEq(council.proposal(id).approvals, 1, "the failed approval does not count");
    }

    function test_members_changeThemselves_andVoidWhatWasOpen() public {
        uint256 open = _propose(CAT, _acceptTdx());
        address[] memory added = new address[](1);
        added[0] = STRANGER;
        address[] memory removed = new address[](1);
        removed[0] = CAT;
        bytes memory change = abi.encodeCall(council.changeMembers, (added, removed, 3));
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.NotSelf.selector, ANN));
        vm.prank(ANN);
        council.changeMembers(added, removed, 3);
        vm.prank(ANN);
        uint256 id = council.propose(address(council), change);
        vm.prank(BOB);
        council.approve(id);
        vm.assertEq(council.threshold(), 3, "threshold");
        vm.assertTrue(council.isMember(STRANGER) && !council.isMember(CAT), "membership");
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.ProposalOver.selector, open));
        vm.prank(BOB);
        council.approve(open);
    }

    function test_aSet_thatCannotDecideIsRefused() public {
        address[] memory none = new address[](0);
        bytes memory change = abi.encodeCall(council.changeMembers, (none, none, 4));
        vm.prank(ANN);
        uint256 id = council.propose(address(council), change);
        vm.expectRevert(abi.encodeWithSelector(IAdministrators.InvalidThreshold.selector, 4, 3));
        vm.prank(BOB);
        council.approve(id);
    }

    function test_oneOfOne_actsAtOnce() public {
        vm.store(address(council), bytes32(0), bytes32(uint256(1) | uint256(1) << 32));
        _propose(ANN, _acceptTdx());
        vm.assertTrue(POLICY.isProviderAccepted(Providers.TDX), "done at once");
    }

    function _propose(address by, bytes memory data) private returns (uint256) {
        vm.prank(by);
        return council.propose(address(POLICY), data);
    }

    function _acceptTdx() private pure returns (bytes memory) {
        return abi.encodeCall(POLICY.setProviderAccepted, (Providers.TDX, true));
    }
}
