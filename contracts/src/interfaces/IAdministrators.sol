// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Administrators: k of n, for a registry and a policy that no one member rules alone
/// @notice A proposal is a call. It is made when enough members have approved it, on the chain and for all to see. Genesis writes the first
/// members; they change themselves like everything else, by a proposal. Install it as `admin` of registry and policy.
interface IAdministrators {
    struct Proposal {
        address target;
        /// Last block in which it can be approved.
        uint64 untilBlock;
        uint32 approvals;
        /// Which set of members it was made under: a changed set voids what was open.
        uint32 generation;
        bool isDone;
        bytes data;
    }

    error NotMember(address caller);
    error UnknownProposal(uint256 id);
    error ProposalOver(uint256 id);
    error AlreadyApproved(uint256 id, address member);
    error NotApproved(uint256 id, address member);
    error NotSelf(address caller);
    error InvalidThreshold(uint32 threshold, uint32 members);
    error AlreadyMember(address member);

    event Proposed(uint256 indexed id, address indexed by, address indexed target, bytes data, uint64 untilBlock);
    event Approved(uint256 indexed id, address indexed by, uint32 approvals);
    event ApprovalWithdrawn(uint256 indexed id, address indexed by, uint32 approvals);
    event Executed(uint256 indexed id, bytes result);
    event MembersChanged(address[] added, address[] removed, uint32 threshold, uint32 members, uint32 generation);

    /// @notice How many members must approve.
    function threshold() external view returns (uint32);

    /// @notice How many members there are.
    function memberCount() external view returns (uint32);

    /// @notice Raised by every change of members; open proposals of earlier sets are void.
    function generation() external view returns (uint32);

    function isMember(address account) external view returns (bool);

    function hasApproved(uint256 id, address member) external view returns (bool);

    function proposal(uint256 id) external view returns (Proposal memory);

    function proposalCount() external view returns (uint256);

    /// @notice Proposes a call, and approves it. With a threshold of one it is made at once.
    function propose(address target, bytes calldata data) external returns (uint256 id);

    /// @notice Approves a proposal; the last approval needed makes the call, and reverts as it does.
    function approve(uint256 id) external;

    /// @notice Takes an approval back.
    function withdrawApproval(uint256 id) external;

    /// @notice Changes the set. By a proposal only.
    function changeMembers(address[] calldata added, address[] calldata removed, uint32 newThreshold) external;
}
