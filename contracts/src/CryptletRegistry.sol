// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Administered} from "./Administered.sol";
import {ICryptletRegistry} from "./interfaces/ICryptletRegistry.sol";
import {IInstanceDirectory} from "./interfaces/IInstanceDirectory.sol";
import {Authority} from "./libraries/Authority.sol";
import {FabricTypedData} from "./libraries/FabricTypedData.sol";
import {EvidenceCheck} from "./libraries/EvidenceCheck.sol";
import {CRYPTLET_POLICY} from "./libraries/SystemContracts.sol";
import {ContractCryptletTerms, Cryptlet, Instance, InstanceState, UtilityRegistration} from "./types/Cryptlet.sol";
import {Authorization, Claims, CreatedInstance} from "./types/Creation.sol";
import {CryptletId, RegistrationId, contractCryptletId, utilityCryptletId} from "./types/Ids.sol";
import {FabricDomain, InstanceAuthorization, InstanceRegistration} from "./types/Signed.sol";
import {CryptletKind, CryptletStatus, InstanceStatus, SimulationPolicy} from "./types/Words.sol";

/// @title CryptletRegistry
/// @dev The delegate reads `factory`, `cryptlets` and `instances` directly: their slots are consensus, and are published in
/// `artifacts/CryptletRegistry.storage.json`. Genesis writes slot 0 (admin).
contract CryptletRegistry is Administered, ICryptletRegistry {
    /// @inheritdoc ICryptletRegistry
    bytes32 public genesisHash;

    /// @inheritdoc ICryptletRegistry
    CryptletId public factory;

    mapping(CryptletId => Cryptlet) internal cryptlets;
    mapping(RegistrationId => Instance) internal instances;
    mapping(CryptletId => RegistrationId[]) internal registrationIds;
    CryptletId[] internal allCryptletIds;

    /// @inheritdoc ICryptletRegistry
    mapping(CryptletId => mapping(address signer => RegistrationId)) public instanceOfSigner;

    /// @inheritdoc ICryptletRegistry
    mapping(address operator => bool) public isHostOperator;

    /// @inheritdoc ICryptletRegistry
    mapping(RegistrationId => RegistrationId) public renewalOf;

    // --- administration ---

    /// @inheritdoc ICryptletRegistry
    function initialize(bytes32 genesisHash_) external {
        bool isGenesisInReach = block.number != 0 && block.number <= EvidenceCheck.ANCHOR_REACH_BLOCKS;
        // What the EVM itself confirms needs nobody's authority.
        if (!isGenesisInReach) _requireAdmin();
        if (genesisHash != bytes32(0)) revert AlreadyInitialized(genesisHash);
        if (genesisHash_ == bytes32(0)) revert ZeroDigest();
        if (isGenesisInReach && blockhash(0) != genesisHash_) revert WrongGenesisHash(genesisHash_, blockhash(0));
        genesisHash = genesisHash_;
        emit Initialized(genesisHash_);
    }

    /// @inheritdoc ICryptletRegistry
    function setFactory(CryptletId cryptletId) external onlyAdmin {
        _requireActive(cryptletId);
        factory = cryptletId;
        emit FactoryChanged(cryptletId);
    }

    /// @inheritdoc ICryptletRegistry
    function setHostOperator(address operator, bool isApproved) external onlyAdmin {
        isHostOperator[operator] = isApproved;
        emit HostOperatorChanged(operator, isApproved);
    }

    // --- cryptlets ---

    /// @inheritdoc ICryptletRegistry
    function registerUtility(
        UtilityRegistration calldata registration,
        Authorization calldata authorization,
        bytes calldata identitySignature
    ) external returns (CryptletId cryptletId) {
        if (bytes(registration.name).length == 0) revert EmptyName();
        bytes32 registrationHash = _requirePublisher(registration, authorization, identitySignature);
        cryptletId = utilityCryptletId(authorization.registrar, registration.name);
        Cryptlet storage entry = _newCryptlet(cryptletId, CryptletKind.Utility, authorization.registrar);
        _setDigests(
            entry, registration.codeDigest, registration.manifestDigest, registration.headerDigest, registration.configDigest
        );
        _setInstanceBounds(entry, registration.minimumInstances, registration.maximumInstances);
        _setCallBounds(entry, registration.unitsMax, registration.outputBytesMax);
        _setSimulation(entry, registration.simulationPolicy, registration.simulationStub);
        entry.isolation = registration.isolation;
        entry.identityKey = registration.identityKey;
        _setName(cryptletId, entry, registration.name);
        emit CryptletAuthorized(cryptletId, registrationHash, authorization, identitySignature);
    }

    /// @inheritdoc ICryptletRegistry
    function upgradeUtility(
        CryptletId cryptletId,
        bytes32 codeDigest,
        bytes32 manifestDigest,
        bytes32 headerDigest,
        bytes32 configDigest
    ) external {
        Cryptlet storage entry = _requireActive(cryptletId);
        if (entry.kind != CryptletKind.Utility) revert NotUtility(cryptletId);
        _requirePublisherOf(entry);
        _setDigests(entry, codeDigest, manifestDigest, headerDigest, configDigest);
        _beginEpoch(cryptletId, entry, entry.keyEpoch + 1, 0);
        emit CryptletUpgraded(cryptletId, codeDigest, manifestDigest, entry.keyEpoch);
    }

    /// @inheritdoc ICryptletRegistry
    function setSimulationStub(CryptletId cryptletId, bytes calldata simulationStub) external {
        Cryptlet storage entry = _requireActive(cryptletId);
        _requirePublisherOf(entry);
        _setSimulation(entry, entry.simulationPolicy, simulationStub);
        emit SimulationStubChanged(cryptletId, simulationStub);
    }

    /// @inheritdoc ICryptletRegistry
    function registerContractCryptlet(ContractCryptletTerms calldata terms, CreatedInstance calldata created)
        external
        returns (RegistrationId registrationId)
    {
        CryptletId cryptletId = contractCryptletId(msg.sender, created.codeDigest);
        if (created.cryptletId != cryptletId) revert WrongCryptletId(created.cryptletId, cryptletId);
        Cryptlet storage entry = _newCryptlet(cryptletId, CryptletKind.Contract, msg.sender);
        _setDigests(entry, created.codeDigest, created.manifestDigest, terms.headerDigest, terms.configDigest);
        _setInstanceBounds(entry, terms.minimumInstances, terms.maximumInstances);
        _setCallBounds(entry, terms.unitsMax, terms.outputBytesMax);
        entry.boundContract = msg.sender;
        _setSimulation(entry, terms.simulationPolicy, terms.simulationStub);
        entry.isolation = terms.isolation;
        entry.identityKey = created.signer;
        _setName(cryptletId, entry, terms.name);
        // The contract answers for it by calling; whoever deployed it has seen to what it asks for.
        registrationId = _newIdOf(created);
        _registerInstance(registrationId, entry, created, 0);
    }

    /// @inheritdoc ICryptletRegistry
    function suspendCryptlet(CryptletId cryptletId) external {
        Cryptlet storage entry = _requireActive(cryptletId);
        _requirePublisherOrAdmin(entry);
        entry.status = CryptletStatus.Suspended;
        entry.suspendedByAdmin = msg.sender == admin;
        emit CryptletSuspended(cryptletId, msg.sender);
    }

    /// @inheritdoc ICryptletRegistry
    function resumeCryptlet(CryptletId cryptletId) external {
        Cryptlet storage entry = _requireKnown(cryptletId);
        if (entry.status != CryptletStatus.Suspended) revert CryptletNotSuspended(cryptletId, entry.status);
        if (entry.suspendedByAdmin) _requireAdmin();
        _requirePublisherOrAdmin(entry);
        entry.status = CryptletStatus.Active;
        entry.suspendedByAdmin = false;
        emit CryptletResumed(cryptletId, msg.sender);
    }

    /// @inheritdoc ICryptletRegistry
    function revokeCryptlet(CryptletId cryptletId, string calldata reason) external {
        Cryptlet storage entry = _requireKnown(cryptletId);
        if (entry.status == CryptletStatus.Revoked) revert CryptletNotActive(cryptletId, entry.status);
        _requirePublisherOrAdmin(entry);
        entry.status = CryptletStatus.Revoked;
        emit CryptletRevoked(cryptletId, msg.sender, reason);
    }

    // --- instances ---

    /// @inheritdoc ICryptletRegistry
    function registerInstance(CreatedInstance calldata created, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId)
    {
        return _registerAuthorized(created, 0, authorization);
    }

    /// @inheritdoc ICryptletRegistry
    function rotateKeys(CreatedInstance calldata created, uint32 graceBlocks, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId)
    {
        Cryptlet storage entry = _requireActive(created.cryptletId);
        if (created.keyEpoch <= entry.keyEpoch) revert NoRotation(created.keyEpoch, entry.keyEpoch);
        uint32 graceBlocksMax = CRYPTLET_POLICY.rotationGraceBlocksMax();
        if (graceBlocks > graceBlocksMax) revert GraceTooLong(graceBlocks, graceBlocksMax);
        return _registerAuthorized(created, graceBlocks, authorization);
    }

    /// @inheritdoc ICryptletRegistry
    function renewInstance(RegistrationId previous, CreatedInstance calldata created, Authorization calldata authorization)
        external
        returns (RegistrationId registrationId)
    {
        Instance storage item = _requireInstance(previous);
        Cryptlet storage entry = _requireActive(item.cryptletId);
        registrationId = _newIdOf(created);
        if (authorization.registrar != item.signer) _requireRegistrar(item.cryptletId, entry, authorization.registrar);
        _requireAuthorized(registrationId, previous, 0, authorization);
        _requireRenewal(previous, item, entry, created);
        _admit(registrationId, entry, created, 0);
        renewalOf[registrationId] = previous;
        emit InstanceRenewed(previous, registrationId, created.notAfterBlock);
        // What was found good once is good again, as long as nothing but the dates has changed.
        if (_isAlike(item, instances[registrationId])) _activate(registrationId, address(0));
        else _activateIfAutomatic(registrationId);
    }

    /// @inheritdoc ICryptletRegistry
    function activateInstance(RegistrationId registrationId) external onlyAdmin {
        Instance storage item = _requireInstance(registrationId);
        if (item.status != InstanceStatus.Pending) revert InstanceNotPending(registrationId, item.status);
        Cryptlet storage entry = _requireActive(item.cryptletId);
        if (item.codeDigest != entry.codeDigest) revert WrongCodeDigest(item.codeDigest, entry.codeDigest);
        if (item.notAfterBlock < block.number) revert KeysExpired(item.notAfterBlock, block.number);
        _activate(registrationId, msg.sender);
    }

    /// @inheritdoc ICryptletRegistry
    function revokeInstance(RegistrationId registrationId, string calldata reason) external {
        Instance storage item = _requireInstance(registrationId);
        Cryptlet storage entry = cryptlets[item.cryptletId];
        if (msg.sender != item.signer) _requirePublisherOrAdmin(entry);
        _revoke(registrationId, item, entry, reason);
        // A renewal has the same keys, so it shares their fate.
        RegistrationId newest = instanceOfSigner[item.cryptletId][item.signer];
        RegistrationId other = renewalOf[newest] == registrationId ? newest : renewalOf[registrationId];
        if (_isEndable(instances[other])) _revoke(other, instances[other], entry, reason);
    }

    /// @inheritdoc ICryptletRegistry
    function retireInstance(RegistrationId registrationId) external {
        Instance storage item = _requireInstance(registrationId);
        Cryptlet storage entry = cryptlets[item.cryptletId];
        // What waits for its activation may be of an epoch to come.
        bool isEpochOver = item.keyEpoch < entry.keyEpoch && !_isEpochInForce(entry, item.keyEpoch);
        if (item.notAfterBlock >= block.number && !isEpochOver) {
            revert InstanceNotExpired(registrationId, item.notAfterBlock);
        }
        _endInstance(registrationId, item, entry, InstanceStatus.Retired);
        emit InstanceRetired(registrationId, item.notAfterBlock);
    }

    // --- views ---

    /// @inheritdoc ICryptletRegistry
    function cryptlet(CryptletId cryptletId) external view returns (Cryptlet memory) {
        return cryptlets[cryptletId];
    }

    /// @inheritdoc ICryptletRegistry
    function cryptletCount() external view returns (uint256) {
        return allCryptletIds.length;
    }

    /// @inheritdoc ICryptletRegistry
    function cryptletIds(uint256 first, uint256 countMax) external view returns (CryptletId[] memory page) {
        uint256 left = first < allCryptletIds.length ? allCryptletIds.length - first : 0;
        page = new CryptletId[](left < countMax ? left : countMax);
        for (uint256 index; index < page.length; ++index) {
            page[index] = allCryptletIds[first + index];
        }
    }

    /// @inheritdoc ICryptletRegistry
    function instance(RegistrationId registrationId) external view returns (Instance memory) {
        return instances[registrationId];
    }

    /// @inheritdoc ICryptletRegistry
    function instancesOf(CryptletId cryptletId) external view returns (RegistrationId[] memory) {
        return registrationIds[cryptletId];
    }

    /// @inheritdoc ICryptletRegistry
    function isActiveSigner(CryptletId cryptletId, address signer) external view returns (bool) {
        return isInstanceActive(instanceOfSigner[cryptletId][signer]);
    }

    /// @inheritdoc ICryptletRegistry
    function instanceRegistration(RegistrationId registrationId) external view returns (InstanceRegistration memory) {
        return _registrationOf(registrationId, instances[registrationId]);
    }

    /// @inheritdoc ICryptletRegistry
    function domainSeparator() external view returns (bytes32) {
        return FabricTypedData.liveSeparator(FabricDomain(block.chainid, genesisHash));
    }

    /// @inheritdoc IInstanceDirectory
    function instanceState(RegistrationId registrationId) external view returns (InstanceState memory) {
        Instance storage item = instances[registrationId];
        return InstanceState({
            cryptletId: item.cryptletId,
            codeDigest: item.codeDigest,
            signer: item.signer,
            keyEpoch: item.keyEpoch,
            notAfterBlock: item.notAfterBlock,
            provider: item.provider,
            isolation: item.isolation,
            isActive: _isInForce(item)
        });
    }

    /// @inheritdoc ICryptletRegistry
    function isInstanceActive(RegistrationId registrationId) public view returns (bool) {
        Instance storage item = instances[registrationId];
        return _isInForce(item) && item.notAfterBlock >= block.number;
    }

    // --- steps ---

    function _newCryptlet(CryptletId cryptletId, CryptletKind kind, address publisher) private returns (Cryptlet storage entry) {
        entry = cryptlets[cryptletId];
        if (entry.status != CryptletStatus.None) revert CryptletExists(cryptletId);
        entry.status = CryptletStatus.Active;
        entry.kind = kind;
        entry.publisher = publisher;
        entry.registeredBlock = uint64(block.number);
        allCryptletIds.push(cryptletId);
    }

    function _setDigests(
        Cryptlet storage entry,
        bytes32 codeDigest,
        bytes32 manifestDigest,
        bytes32 headerDigest,
        bytes32 configDigest
    ) private {
        if (codeDigest == bytes32(0) || manifestDigest == bytes32(0)) revert ZeroDigest();
        entry.codeDigest = codeDigest;
        entry.manifestDigest = manifestDigest;
        entry.headerDigest = headerDigest;
        entry.configDigest = configDigest;
    }

    function _setInstanceBounds(Cryptlet storage entry, uint16 minimumInstances, uint16 maximumInstances) private {
        if (minimumInstances == 0 || minimumInstances > maximumInstances) {
            revert InvalidInstanceBounds(minimumInstances, maximumInstances);
        }
        entry.minimumInstances = minimumInstances;
        entry.maximumInstances = maximumInstances;
    }

    function _setCallBounds(Cryptlet storage entry, uint64 unitsMax, uint32 outputBytesMax) private {
        if (unitsMax == 0) revert InvalidUnits(unitsMax);
        entry.unitsMax = unitsMax;
        entry.outputBytesMax = outputBytesMax;
    }

    function _setSimulation(Cryptlet storage entry, SimulationPolicy policy, bytes calldata stub) private {
        entry.simulationPolicy = policy;
        entry.simulationStub = stub;
    }

    /// The last thing that is entered.
    function _setName(CryptletId cryptletId, Cryptlet storage entry, string calldata name) private {
        entry.name = name;
        emit CryptletRegistered(cryptletId, entry.publisher, entry.kind, name, entry.codeDigest, entry.manifestDigest);
    }

    function _registerAuthorized(CreatedInstance calldata created, uint32 graceBlocks, Authorization calldata authorization)
        private
        returns (RegistrationId registrationId)
    {
        Cryptlet storage entry = _requireActive(created.cryptletId);
        _requireRegistrar(created.cryptletId, entry, authorization.registrar);
        registrationId = _newIdOf(created);
        _requireAuthorized(registrationId, RegistrationId.wrap(0), graceBlocks, authorization);
        _registerInstance(registrationId, entry, created, graceBlocks);
    }

    /// An instance that is not the renewal of another.
    function _registerInstance(
        RegistrationId registrationId,
        Cryptlet storage entry,
        CreatedInstance calldata created,
        uint32 graceBlocks
    ) private {
        if (created.keyEpoch < entry.keyEpoch) {
            revert StaleKeyEpoch(created.keyEpoch, entry.keyEpoch);
        }
        if (!_isSignerFree(instanceOfSigner[created.cryptletId][created.signer], created.keyEpoch)) {
            revert SignerInUse(created.cryptletId, created.signer);
        }
        _admit(registrationId, entry, created, graceBlocks);
        instanceOfSigner[created.cryptletId][created.signer] = registrationId;
        _activateIfAutomatic(registrationId);
    }

    function _activateIfAutomatic(RegistrationId registrationId) private {
        if (CRYPTLET_POLICY.isActivationAutomatic()) _activate(registrationId, address(0));
    }

    /// From here on it counts. The caller has looked at everything but its epoch, its room and what it renews.
    function _activate(RegistrationId registrationId, address by) private {
        Instance storage item = instances[registrationId];
        Cryptlet storage entry = cryptlets[item.cryptletId];
        if (item.keyEpoch < entry.keyEpoch) revert StaleKeyEpoch(item.keyEpoch, entry.keyEpoch);
        if (!_replace(renewalOf[registrationId])) _makeRoom(item.cryptletId, entry, item.keyEpoch, item.graceBlocks);
        item.status = InstanceStatus.Active;
        instanceOfSigner[item.cryptletId][item.signer] = registrationId;
        emit InstanceActivated(registrationId, by);
    }

    /// Puts a renewal in the place of what it renews, if that has a place still. At most one older registration of the same keys counts.
    function _replace(RegistrationId previous) private returns (bool) {
        InstanceStatus status = instances[previous].status;
        // There is nothing to replace, or its time was over and its place has been cleared.
        if (status == InstanceStatus.None || status == InstanceStatus.Retired) return false;
        // It was revoked, or renewed otherwise.
        if (status != InstanceStatus.Active) revert InstanceNotActive(previous);
        instances[previous].status = InstanceStatus.Renewed;
        RegistrationId older = renewalOf[previous];
        if (instances[older].status == InstanceStatus.Renewed) instances[older].status = InstanceStatus.Retired;
        return true;
    }

    function _newIdOf(CreatedInstance calldata created) private view returns (RegistrationId registrationId) {
        registrationId = RegistrationId.wrap(FabricTypedData.hash(FabricTypedData.keysOf(created)));
        if (instances[registrationId].status != InstanceStatus.None) revert InstanceExists(registrationId);
    }

    /// Checks what an instance shows, and enters it. It does not count yet.
    function _admit(RegistrationId registrationId, Cryptlet storage entry, CreatedInstance calldata created, uint32 graceBlocks)
        private
    {
        CryptletId cryptletId = created.cryptletId;
        _requireFits(entry, created);
        EvidenceCheck.requireKeys(created, registrationId, _requireGenesisHash());
        Claims memory claims = EvidenceCheck.appraise(created, registrationId, entry);

        Instance storage item = instances[registrationId];
        _store(item, created, claims);
        item.graceBlocks = graceBlocks;
        registrationIds[cryptletId].push(registrationId);

        emit InstanceRegistered(
            cryptletId,
            registrationId,
            created.signer,
            created.keyEpoch,
            created.notAfterBlock,
            FabricTypedData.hash(_registrationOf(registrationId, item))
        );
        emit InstanceEvidence(registrationId, created);
    }

    /// The instance is of the code that is registered.
    function _requireFits(Cryptlet storage entry, CreatedInstance calldata created) private view {
        if (created.codeDigest != entry.codeDigest) revert WrongCodeDigest(created.codeDigest, entry.codeDigest);
        if (created.manifestDigest != entry.manifestDigest) {
            revert WrongManifestDigest(created.manifestDigest, entry.manifestDigest);
        }
    }

    /// The same keys, of the current epoch, for longer.
    function _requireRenewal(
        RegistrationId previous,
        Instance storage item,
        Cryptlet storage entry,
        CreatedInstance calldata created
    ) private view {
        if (item.status != InstanceStatus.Active || item.notAfterBlock < block.number) {
            revert InstanceNotActive(previous);
        }
        if (item.keyEpoch != entry.keyEpoch) revert StaleKeyEpoch(item.keyEpoch, entry.keyEpoch);
        bool isSame = created.cryptletId == item.cryptletId && created.signer == item.signer && created.hpkeKey == item.hpkeKey
            && created.keyEpoch == item.keyEpoch;
        if (!isSame) revert NoRenewal(previous);
        if (created.notAfterBlock <= item.notAfterBlock) revert RenewalTooShort(created.notAfterBlock, item.notAfterBlock);
    }

    /// A key may serve again once its instance's time or epoch is over, but never after a revocation.
    function _isSignerFree(RegistrationId previous, uint64 keyEpoch) private view returns (bool) {
        Instance storage item = instances[previous];
        if (item.status == InstanceStatus.Revoked) return false;
        bool isWaiting = item.status == InstanceStatus.Pending && item.notAfterBlock >= block.number;
        return !(isWaiting || isInstanceActive(previous)) || keyEpoch > item.keyEpoch;
    }

    /// Is it evidenced in the same way, but for the dates?
    function _isAlike(Instance storage left, Instance storage right) private view returns (bool) {
        return left.provider == right.provider && left.isolation == right.isolation && left.measurement == right.measurement
            && left.endorser == right.endorser && left.container == right.container && left.version == right.version;
    }

    /// A higher epoch begins anew; within an epoch there is a limit.
    function _makeRoom(CryptletId cryptletId, Cryptlet storage entry, uint64 keyEpoch, uint32 graceBlocks) private {
        if (keyEpoch > entry.keyEpoch) _beginEpoch(cryptletId, entry, keyEpoch, graceBlocks);
        if (entry.activeInstances >= entry.maximumInstances) revert TooManyInstances(cryptletId, entry.maximumInstances);
        ++entry.activeInstances;
    }

    /// Without grace the epoch before ends here, and so does one that still had some.
    function _beginEpoch(CryptletId cryptletId, Cryptlet storage entry, uint64 keyEpoch, uint32 graceBlocks) private {
        emit KeyEpochAdvanced(cryptletId, entry.keyEpoch, keyEpoch);
        bool hasGrace = graceBlocks != 0 && entry.keyEpoch != 0;
        entry.previousEpoch = hasGrace ? entry.keyEpoch : 0;
        entry.previousEpochUntil = hasGrace ? uint64(block.number) + graceBlocks : 0;
        if (hasGrace) emit GracePeriodBegan(cryptletId, entry.previousEpoch, entry.previousEpochUntil);
        entry.keyEpoch = keyEpoch;
        entry.activeInstances = 0;
    }

    function _store(Instance storage item, CreatedInstance calldata created, Claims memory claims) private {
        item.signer = created.signer;
        item.keyEpoch = created.keyEpoch;
        item.provider = claims.provider;
        item.status = InstanceStatus.Pending;
        item.isolation = claims.isolation;
        item.cryptletId = created.cryptletId;
        item.codeDigest = created.codeDigest;
        item.registeredBlock = uint64(block.number);
        item.notAfterBlock = created.notAfterBlock;
        item.evidenceExpires = claims.expires;
        item.policyVersion = CRYPTLET_POLICY.version();
        item.measurement = claims.measurement;
        item.hpkeKey = created.hpkeKey;
        item.evidenceHash = keccak256(created.evidence);
        item.endorsementsHash = keccak256(created.collateral);
        item.endorser = claims.endorser;
        item.container = created.container;
        item.version = created.version;
    }

    function _revoke(RegistrationId registrationId, Instance storage item, Cryptlet storage entry, string calldata reason)
        private
    {
        _endInstance(registrationId, item, entry, InstanceStatus.Revoked);
        emit InstanceRevoked(registrationId, msg.sender, reason);
    }

    function _endInstance(RegistrationId registrationId, Instance storage item, Cryptlet storage entry, InstanceStatus status)
        private
    {
        if (!_isEndable(item)) revert InstanceNotActive(registrationId);
        // What was renewed takes no room: its successor does. Nor does what was never activated.
        if (item.keyEpoch == entry.keyEpoch && item.status == InstanceStatus.Active) --entry.activeInstances;
        item.status = status;
    }

    function _isEndable(Instance storage item) private view returns (bool) {
        return item.status == InstanceStatus.Pending || _isActivated(item);
    }

    function _isActivated(Instance storage item) private view returns (bool) {
        return item.status == InstanceStatus.Active || item.status == InstanceStatus.Renewed;
    }

    function _isEpochInForce(Cryptlet storage entry, uint64 keyEpoch) private view returns (bool) {
        bool isInGrace = keyEpoch != 0 && keyEpoch == entry.previousEpoch && block.number <= entry.previousEpochUntil;
        return keyEpoch == entry.keyEpoch || isInGrace;
    }

    function _isInForce(Instance storage item) private view returns (bool) {
        Cryptlet storage entry = cryptlets[item.cryptletId];
        return _isActivated(item) && entry.status == CryptletStatus.Active && _isEpochInForce(entry, item.keyEpoch)
            && item.codeDigest == entry.codeDigest;
    }

    function _registrationOf(RegistrationId registrationId, Instance storage item)
        private
        view
        returns (InstanceRegistration memory)
    {
        return InstanceRegistration({
            instanceKeysHash: RegistrationId.unwrap(registrationId),
            provider: item.provider,
            measurement: item.measurement,
            evidenceHash: item.evidenceHash,
            endorsementsHash: item.endorsementsHash,
            policyVersion: item.policyVersion,
            registeredBlock: item.registeredBlock
        });
    }

    /// Without it nothing can have been signed for this chain.
    function _requireGenesisHash() private view returns (bytes32 hash) {
        hash = genesisHash;
        if (hash == bytes32(0)) revert NotInitialized();
    }

    function _requireKnown(CryptletId cryptletId) private view returns (Cryptlet storage entry) {
        entry = cryptlets[cryptletId];
        if (entry.status == CryptletStatus.None) revert UnknownCryptlet(cryptletId);
    }

    function _requireActive(CryptletId cryptletId) private view returns (Cryptlet storage entry) {
        entry = _requireKnown(cryptletId);
        if (entry.status != CryptletStatus.Active) revert CryptletNotActive(cryptletId, entry.status);
    }

    /// May this account register instances of the cryptlet?
    function _requireRegistrar(CryptletId cryptletId, Cryptlet storage entry, address registrar) private view {
        bool isIdentityKey = entry.kind == CryptletKind.Utility && registrar == entry.identityKey;
        bool isRegistrar = registrar == entry.publisher || registrar == admin || isIdentityKey || isHostOperator[registrar];
        if (!isRegistrar) revert NotRegistrar(registrar, cryptletId);
    }

    /// It was asked for exactly this.
    function _requireAuthorized(
        RegistrationId registrationId,
        RegistrationId previous,
        uint32 graceBlocks,
        Authorization calldata authorization
    ) private {
        InstanceAuthorization memory asked =
            InstanceAuthorization(registrationId, previous, graceBlocks, authorization.deadlineBlock);
        Authority.requireSigned(authorization, FabricTypedData.hash(asked), _requireGenesisHash());
        emit InstanceAuthorized(registrationId, previous, graceBlocks, authorization);
    }

    /// The publisher said this, and the identity key did.
    function _requirePublisher(
        UtilityRegistration calldata registration,
        Authorization calldata authorization,
        bytes calldata identitySignature
    ) private view returns (bytes32 structHash) {
        structHash = FabricTypedData.hash(registration, authorization.registrar, authorization.deadlineBlock);
        Authority.requireSigned(authorization, structHash, _requireGenesisHash());
        if (!Authority.isSigned(structHash, identitySignature, registration.identityKey, genesisHash)) {
            revert InvalidIdentitySignature(registration.identityKey);
        }
    }

    function _requireInstance(RegistrationId registrationId) private view returns (Instance storage item) {
        item = instances[registrationId];
        if (item.status == InstanceStatus.None) revert UnknownInstance(registrationId);
    }

    function _requirePublisherOrAdmin(Cryptlet storage entry) private view {
        if (msg.sender != admin) _requirePublisherOf(entry);
    }

    function _requirePublisherOf(Cryptlet storage entry) private view {
        if (msg.sender != entry.publisher) revert NotPublisher(msg.sender, entry.publisher);
    }
}
