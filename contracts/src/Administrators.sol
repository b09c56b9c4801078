// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {IAdministrators} from "./interfaces/IAdministrators.sol";

/// @title Administrators
/// @dev Genesis writes slot 0 (threshold, count of members, generation) and of slot 1 one word per member.
contract Administrators is IAdministrators {
    /// Blocks for which a proposal can be approved: a week of blocks of 12 s.
    uint64 internal constant PROPOSAL_LIFETIME_BLOCKS = 50_400;

    /// @inheritdoc IAdministrators
    uint32 public threshold;

    /// @inheritdoc IAdministrators
    uint32 public memberCount;

    /// @inheritdoc IAdministrators
    uint32 public generation;

    /// @inheritdoc IAdministrators
    mapping(address account => bool) public isMember;

    /// @inheritdoc IAdministrators
    mapping(uint256 id => mapping(address member => bool)) public hasApproved;

    Proposal[] internal proposals;

    modifier onlyMember() {
        if (!isMember[msg.sender]) revert NotMember(msg.sender);
        _;
    }

    /// @inheritdoc IAdministrators
    function propose(address target, bytes calldata data) external onlyMember returns (uint256 id) {
        id = proposals.length;
        uint64 untilBlock = uint64(block.number) + PROPOSAL_LIFETIME_BLOCKS;
        proposals.push(Proposal(target, untilBlock, 0, generation, false, data));
        emit Proposed(id, msg.sender, target, data, untilBlock);
        _approve(id, proposals[id]);
    }

    /// @inheritdoc IAdministrators
    function approve(uint256 id) external onlyMember {
        Proposal storage item = _requireOpen(id);
        if (hasApproved[id][msg.sender]) revert AlreadyApproved(id, msg.sender);
        _approve(id, item);
    }

    /// @inheritdoc IAdministrators
    function withdrawApproval(uint256 id) external onlyMember {
        Proposal storage item = _requireOpen(id);
        if (!hasApproved[id][msg.sender]) revert NotApproved(id, msg.sender);
        hasApproved[id][msg.sender] = false;
        emit ApprovalWithdrawn(id, msg.sender, --item.approvals);
    }

    /// @inheritdoc IAdministrators
    function changeMembers(address[] calldata added, address[] calldata removed, uint32 newThreshold) external {
        if (msg.sender != address(this)) revert NotSelf(msg.sender);
        for (uint256 index; index < removed.length; ++index) {
            if (!isMember[removed[index]]) revert NotMember(removed[index]);
            isMember[removed[index]] = false;
            --memberCount;
        }
        for (uint256 index; index < added.length; ++index) {
            if (isMember[added[index]]) revert AlreadyMember(added[index]);
            isMember[added[index]] = true;
            ++memberCount;
        }
        if (newThreshold == 0 || newThreshold > memberCount) revert InvalidThreshold(newThreshold, memberCount);
        threshold = newThreshold;
        emit MembersChanged(added, removed, newThreshold, memberCount, ++generation);
    }

    /// @inheritdoc IAdministrators
    function proposal(uint256 id) external view returns (Proposal memory) {
        if (id >= proposals.length) revert UnknownProposal(id);
        return proposals[id];
    }

    /// @inheritdoc IAdministrators
    function proposalCount() external view returns (uint256) {
        return proposals.length;
    }

    function _requireOpen(uint256 id) private view returns (Proposal storage item) {
        if (id >= proposals.length) revert UnknownProposal(id);
        item = proposals[id];
        if (item.isDone || item.generation != generation || item.untilBlock < block.number) revert ProposalOver(id);
    }

    function _approve(uint256 id, Proposal storage item) private {
        hasApproved[id][msg.sender] = true;
        emit Approved(id, msg.sender, ++item.approvals);
        if (item.approvals < threshold) return;
        item.isDone = true;
        emit Executed(id, Address.functionCall(item.target, item.data));
    }
}
