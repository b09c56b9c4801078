// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CRYPTLET_REGISTRY, CRYPTO_DELEGATE} from "./libraries/SystemContracts.sol";
import {ContractCryptletTerms} from "./types/Cryptlet.sol";
import {CreateConfig, CreatedInstance} from "./types/Creation.sol";
import {CryptletId} from "./types/Ids.sol";
import {SimulationPolicy} from "./types/Words.sol";

/// @title ContractCryptlet: base of contracts whose logic runs in a cryptlet of their own
/// @notice The contract is the database, the cryptlet is the program. The constructor has the fabric create the cryptlet and binds the
/// two; from then on a `delegated` function hands its call data and the state snapshot to the cryptlet and applies the snapshot that
/// comes back. Nobody but the cryptlet writes the state.
/// @dev The delegate reads the registry at the end of the parent block: a delegated call in the very block of creation reverts with
/// `CryptletError(UNKNOWN_CRYPTLET, …)`, and from the next block on it works.
abstract contract ContractCryptlet {
    /// @notice Only the contract's own cryptlet may do this.
    error OnlyCryptlet(address caller);

    /// @notice The contract and its cryptlet are bound together.
    event CryptletBound(CryptletId indexed cryptlet, address indexed publicKey, bytes32 codeDigest);

    /// @notice The state that the cryptlet returned was applied.
    event StateUpdated(bytes32 indexed snapshotHash);

    /// @notice The cryptlet's id in the registry.
    CryptletId public immutable cryptlet;

    /// @notice Key of the cryptlet's first instance, as an address. The keys that count now are in the registry.
    address public immutable publicKey;

    /// @notice Digest of the code that was agreed on.
    bytes32 public immutable codeDigest;

    /// @notice How many instances the fabric keeps, at least and at most.
    uint16 public immutable minimumInstances;
    uint16 public immutable maximumInstances;

    /// @dev Passes for the cryptlet only: for the snapshot that `delegated` applies (the contract calling itself), and for transactions
    /// that an active instance sends with its own key. The papers' `onlyBy(cryptlet)`.
    modifier onlyCryptlet() {
        if (msg.sender != address(this) && !CRYPTLET_REGISTRY.isActiveSigner(cryptlet, msg.sender)) {
            revert OnlyCryptlet(msg.sender);
        }
        _;
    }

    /// @dev The function is carried out by the cryptlet. What stands in the body runs afterwards, on the new state. For external
    /// functions only: the cryptlet is given `msg.data`.
    modifier delegated() {
        _delegate();
        _;
    }

    /// @param config What the fabric is to create: digest of a package or the code itself, how many instances, how isolated. Inline code is
    /// part of the init code, which EIP-3860 limits to 49,152 bytes: larger cryptlets go by the digest of their package.
    constructor(string memory name, CreateConfig memory config) {
        CreatedInstance memory created = abi.decode(CRYPTO_DELEGATE.create(abi.encode(config)), (CreatedInstance));
        CRYPTLET_REGISTRY.registerContractCryptlet(_terms(name, config), created);

        cryptlet = created.cryptletId;
        publicKey = created.signer;
        codeDigest = created.codeDigest;
        minimumInstances = config.minimumInstances;
        maximumInstances = config.maximumInstances;
        emit CryptletBound(created.cryptletId, created.signer, created.codeDigest);
    }

    /// @notice Replaces the state by what the cryptlet returned. For the cryptlet only.
    function updateState(bytes calldata snapshot) external virtual onlyCryptlet {
        _applyState(snapshot);
    }

    /// @notice The whole state, as the cryptlet is given it.
    function stateSnapshot() public view virtual returns (bytes memory);

    /// @dev Stores the state that a snapshot holds.
    function _applyState(bytes calldata snapshot) internal virtual;

    /// @dev What `eth_call` does in place of asking the cryptlet; an override may choose another policy.
    function _simulationPolicy() internal pure virtual returns (SimulationPolicy) {
        return SimulationPolicy.Live;
    }

    /// @dev Digest of the exported header, kept in the registry; an override names it.
    function _headerDigest() internal pure virtual returns (bytes32) {
        return bytes32(0);
    }

    function _delegate() private {
        bytes memory input = abi.encodeWithSignature("delegated(bytes,bytes)", msg.data, stateSnapshot());
        bytes memory snapshot = abi.decode(CRYPTO_DELEGATE.invoke(cryptlet, input), (bytes));
        this.updateState(snapshot);
        emit StateUpdated(keccak256(snapshot));
    }

    function _terms(string memory name, CreateConfig memory config) private pure returns (ContractCryptletTerms memory) {
        return ContractCryptletTerms({
            name: name,
            headerDigest: _headerDigest(),
            configDigest: keccak256(bytes(config.configJson)),
            isolation: config.isolation,
            minimumInstances: config.minimumInstances,
            maximumInstances: config.maximumInstances,
            unitsMax: config.unitsMax,
            outputBytesMax: config.outputBytesMax,
            simulationPolicy: _simulationPolicy(),
            simulationStub: ""
        });
    }
}
