// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ContractCryptletTerms, Cryptlet, Instance, UtilityRegistration} from "../types/Cryptlet.sol";
import {Authorization, CreatedInstance} from "../types/Creation.sol";
import {CryptletId, RegistrationId} from "../types/Ids.sol";
import {CryptletKind, CryptletStatus, InstanceStatus, Isolation} from "../types/Words.sol";
import {InstanceRegistration} from "../types/Signed.sol";
import {IAdministered} from "./IAdministered.sol";
import {IInstanceDirectory} from "./IInstanceDirectory.sol";

/// @title CryptletRegistry: what exists
/// @notice Cryptlets, their instances, and the keys those sign with. System contract at `0x…cd01`. What happens here takes effect for
/// calls of cryptlets in the next block.
interface ICryptletRegistry is IAdministered, IInstanceDirectory {
    error AlreadyInitialized(bytes32 genesisHash);
    error NotInitialized();
    error WrongGenesisHash(bytes32 given, bytes32 expected);

    error EmptyName();
    error CryptletExists(CryptletId cryptletId);
    error UnknownCryptlet(CryptletId cryptletId);
    error CryptletNotActive(CryptletId cryptletId, CryptletStatus status);
    error CryptletNotSuspended(CryptletId cryptletId, CryptletStatus status);
    error NotUtility(CryptletId cryptletId);
    error WrongCryptletId(CryptletId given, CryptletId expected);
    error InvalidInstanceBounds(uint16 minimumInstances, uint16 maximumInstances);
    error InvalidUnits(uint64 unitsMax);
    error ZeroDigest();
    error NotPublisher(address caller, address publisher);
    error NotRegistrar(address registrar, CryptletId cryptletId);
    error AuthorizationExpired(uint64 deadlineBlock, uint256 blockNumber);
    error InvalidAuthorization(address registrar);
    error InvalidIdentitySignature(address identityKey);

    error InstanceExists(RegistrationId registrationId);
    error UnknownInstance(RegistrationId registrationId);
    error InstanceNotActive(RegistrationId registrationId);
    error InstanceNotPending(RegistrationId registrationId, InstanceStatus status);
    error InstanceNotExpired(RegistrationId registrationId, uint64 notAfterBlock);
    error TooManyInstances(CryptletId cryptletId, uint16 maximumInstances);
    error WrongCodeDigest(bytes32 given, bytes32 expected);
    error WrongManifestDigest(bytes32 given, bytes32 expected);
    error StaleKeyEpoch(uint64 given, uint64 current);
    error NoRotation(uint64 given, uint64 current);
    error GraceTooLong(uint32 graceBlocks, uint32 graceBlocksMax);
    error NoRenewal(RegistrationId previous);
    error RenewalTooShort(uint64 notAfterBlock, uint64 previousNotAfterBlock);
    error KeysLiveTooLong(uint64 notAfterBlock, uint32 lifetimeBlocksMax);
    error KeysExpired(uint64 notAfterBlock, uint256 blockNumber);
    error AnchorInFuture(uint64 anchorBlock, uint256 blockNumber);
    error AnchorTooOld(uint64 anchorBlock, uint256 blockNumber);
    error WrongAnchorHash(uint64 anchorBlock, bytes32 given, bytes32 expected);
    error InvalidKeysSignature(address signer);
    error SignerInUse(CryptletId cryptletId, address signer);
    error EvidenceBindsOtherKeys(bytes32 reportData, RegistrationId expected);
    error EvidenceExpired(uint64 expires, uint256 timestamp);
    error IsolationBelowCryptlet(Isolation claimed, Isolation required);

    event Initialized(bytes32 genesisHash);
    event FactoryChanged(CryptletId indexed cryptletId);
    event HostOperatorChanged(address indexed operator, bool isApproved);

    event CryptletRegistered(
        CryptletId indexed cryptletId,
        address indexed publisher,
        CryptletKind indexed kind,
        string name,
        bytes32 codeDigest,
        bytes32 manifestDigest
    );
    /// @notice Who registered a utility cryptlet: in their own and the identity key's signature, of what has this EIP-712 hash.
    event CryptletAuthorized(
        CryptletId indexed cryptletId, bytes32 registrationHash, Authorization authorization, bytes identitySignature
    );
    event CryptletUpgraded(CryptletId indexed cryptletId, bytes32 codeDigest, bytes32 manifestDigest, uint64 keyEpoch);
    event CryptletSuspended(CryptletId indexed cryptletId, address indexed by);
    event CryptletResumed(CryptletId indexed cryptletId, address indexed by);
    event CryptletRevoked(CryptletId indexed cryptletId, address indexed by, string reason);
    event SimulationStubChanged(CryptletId indexed cryptletId, bytes simulationStub);
    event GracePeriodBegan(CryptletId indexed cryptletId, uint64 keyEpoch, uint64 untilBlock);
    event KeyEpochAdvanced(CryptletId indexed cryptletId, uint64 previousEpoch, uint64 keyEpoch);

    event InstanceRegistered(
        CryptletId indexed cryptletId,
        RegistrationId indexed registrationId,
        address indexed signer,
        uint64 keyEpoch,
        uint64 notAfterBlock,
        bytes32 registrationHash
    );
    /// @notice Everything the registration rested on, in full, for auditors.
    event InstanceEvidence(RegistrationId indexed registrationId, CreatedInstance created);
    /// @notice Who registered an instance, and in which way: in full, for auditors. Absent for the first instance of a Contract Cryptlet,
    /// which its contract registers by calling.
    event InstanceAuthorized(
        RegistrationId indexed registrationId, RegistrationId previous, uint32 graceBlocks, Authorization authorization
    );
    /// @notice Results of it count from the next block on. `by` is zero if the policy leaves it to no one.
    event InstanceActivated(RegistrationId indexed registrationId, address indexed by);
    event InstanceRenewed(RegistrationId indexed previous, RegistrationId indexed renewed, uint64 notAfterBlock);
    event InstanceRevoked(RegistrationId indexed registrationId, address indexed by, string reason);
    event InstanceRetired(RegistrationId indexed registrationId, uint64 notAfterBlock);

    /// @notice Tells the registry the hash of the genesis block, the salt of the signing domain. Genesis cannot contain its own hash, so
    /// it is told once. While block 0 is within reach the hash is checked, and anyone may tell it; later only the administrator.
    function initialize(bytes32 genesisHash_) external;

    /// @notice Names the cryptlet behind `ICryptoDelegate.create`. By the administrator.
    function setFactory(CryptletId cryptletId) external;

    /// @notice Approves someone who runs hosts: may register instances of every cryptlet. By the administrator.
    function setHostOperator(address operator, bool isApproved) external;

    /// @notice Registers a utility cryptlet. The registrar becomes its publisher; the identity key signs the same, which shows that
    /// somebody holds it. Anybody may send it.
    function registerUtility(
        UtilityRegistration calldata registration,
        Authorization calldata authorization,
        bytes calldata identitySignature
    ) external returns (CryptletId cryptletId);

    /// @notice Gives a utility cryptlet new code. Instances of the old code no longer count; the key epoch rises by one.
    function upgradeUtility(
        CryptletId cryptletId,
        bytes32 codeDigest,
        bytes32 manifestDigest,
        bytes32 headerDigest,
        bytes32 configDigest
    ) external;

    /// @notice Changes the answer given under `SimulationPolicy.Stub`. By the publisher.
    function setSimulationStub(CryptletId cryptletId, bytes calldata simulationStub) external;

    /// @notice Registers the cryptlet that the fabric created for the calling contract, with its first instance. Works from a constructor.
    function registerContractCryptlet(ContractCryptletTerms calldata terms, CreatedInstance calldata created)
        external
        returns (RegistrationId registrationId);

    /// @notice Registers an instance. Authorized by the cryptlet's publisher, a utility cryptlet's identity key, the administrator or an
    /// approved host operator; sent by anybody. It is `Pending` until the administrator activates it, or active at once where the policy
    /// says so. An instance with a higher key epoch than the current one begins a new epoch when it is activated: all earlier
    /// instances cease to count at once. That is how keys are rotated when the old ones are no longer to be trusted.
    function registerInstance(CreatedInstance calldata created, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId);

    /// @notice Registers the first instance of a new key epoch, and lets those of the epoch before count for `graceBlocks` more blocks from
    /// its activation on, so that calls under way are not lost. Same registrars. The policy caps the grace.
    function rotateKeys(CreatedInstance calldata created, uint32 graceBlocks, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId);

    /// @notice Registers an instance anew before its time is over: the same keys, fresh evidence, a later last block. What it signs under
    /// its old registration counts until the old last block. Same registrars, or the instance's own key. It is active at once if it is
    /// evidenced as its predecessor was: same provider, isolation, measurement, endorser, container and version.
    function renewInstance(RegistrationId previous, CreatedInstance calldata created, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId);

    /// @notice Lets an instance that is `Pending` count, from the next block on. By the administrator.
    function activateInstance(RegistrationId registrationId) external;

    /// @notice Ends an instance for good, with what it was renewed from or to. By the publisher, the administrator, or the instance's own key.
    function revokeInstance(RegistrationId registrationId, string calldata reason) external;

    /// @notice Makes room for another instance in place of one whose time is over. By anyone.
    function retireInstance(RegistrationId registrationId) external;

    /// @notice Stops calls for a while. By the publisher or the administrator.
    function suspendCryptlet(CryptletId cryptletId) external;

    /// @notice Allows calls again. What the administrator suspended only the administrator resumes.
    function resumeCryptlet(CryptletId cryptletId) external;

    /// @notice Stops calls for good. By the publisher or the administrator.
    function revokeCryptlet(CryptletId cryptletId, string calldata reason) external;

    /// @notice The registration that this one renewed; zero if none.
    function renewalOf(RegistrationId registrationId) external view returns (RegistrationId);

    /// @notice Salt of the signing domain; zero until `initialize`.
    function genesisHash() external view returns (bytes32);

    /// @notice The cryptlet behind `ICryptoDelegate.create`; zero if this chain has none.
    function factory() external view returns (CryptletId);

    /// @notice Approved to register instances?
    function isHostOperator(address operator) external view returns (bool);

    /// @notice The cryptlet, or all zero.
    function cryptlet(CryptletId cryptletId) external view returns (Cryptlet memory);

    /// @notice How many cryptlets were ever registered.
    function cryptletCount() external view returns (uint256);

    /// @notice The cryptlets from `first` on, at most `countMax`, in order of registration.
    function cryptletIds(uint256 first, uint256 countMax) external view returns (CryptletId[] memory);

    /// @notice The instance, or all zero.
    function instance(RegistrationId registrationId) external view returns (Instance memory);

    /// @notice All instances a cryptlet ever had, in order of registration.
    function instancesOf(CryptletId cryptletId) external view returns (RegistrationId[] memory);

    /// @notice Does a result of this instance count in the current block, as the registry stands?
    function isInstanceActive(RegistrationId registrationId) external view returns (bool);

    /// @notice Is this the key of an active instance of this cryptlet?
    function isActiveSigner(CryptletId cryptletId, address signer) external view returns (bool);

    /// @notice The cryptlet's instance with this key; zero if there is none.
    function instanceOfSigner(CryptletId cryptletId, address signer) external view returns (RegistrationId);

    /// @notice The registration as it was made; `instanceKeysHash` is the registration's id.
    function instanceRegistration(RegistrationId registrationId) external view returns (InstanceRegistration memory);

    /// @notice Separator of the EIP-712 domain in which this chain's results are signed.
    function domainSeparator() external view returns (bytes32);
}
