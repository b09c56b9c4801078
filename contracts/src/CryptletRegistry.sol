// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Administered} from "./Administered.sol";
import {ICryptletRegistry} from "./interfaces/ICryptletRegistry.sol";
import {IInstanceDirectory} from "./interfaces/IInstanceDirectory.sol";
import {FabricTypedData} from "./libraries/FabricTypedData.sol";
import {EvidenceCheck} from "./libraries/EvidenceCheck.sol";
import {CRYPTLET_POLICY} from "./libraries/SystemContracts.sol";
import {ContractCryptletTerms, Cryptlet, Instance, InstanceState, UtilityRegistration} from "./types/Cryptlet.sol";
import {Claims, CreatedInstance} from "./types/Creation.sol";
import {CryptletId, RegistrationId, contractCryptletId, utilityCryptletId} from "./types/Ids.sol";
import {FabricDomain, InstanceRegistration} from "./types/Signed.sol";
import {CryptletKind, CryptletStatus, InstanceStatus} from "./types/Words.sol";

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
        if (!isGenesisInReach && msg.sender != admin) revert NotAdmin(msg.sender, admin);
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
    function registerUtility(UtilityRegistration calldata registration) external returns (CryptletId cryptletId) {
        if (bytes(registration.name).length == 0) revert EmptyName();
        cryptletId = utilityCryptletId(msg.sender, registration.name);
        Cryptlet storage entry = _newCryptlet(cryptletId, CryptletKind.Utility);
        _setDigests(
            entry, registration.codeDigest, registration.manifestDigest, registration.headerDigest, registration.configDigest
        );
        _setInstanceBounds(entry, registration.minimumInstances, registration.maximumInstances);
        _setCallBounds(entry, registration.unitsMax, registration.outputBytesMax);
        entry.isolation = registration.isolation;
        entry.simulationPolicy = registration.simulationPolicy;
        entry.simulationStub = registration.simulationStub;
        entry.identityKey = registration.identityKey;
        entry.name = registration.name;
        _emitRegistered(cryptletId, entry);
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
        if (msg.sender != entry.publisher) revert NotPublisher(msg.sender, entry.publisher);
        _setDigests(entry, codeDigest, manifestDigest, headerDigest, configDigest);
        _beginEpoch(cryptletId, entry, entry.keyEpoch + 1, 0);
        emit CryptletUpgraded(cryptletId, codeDigest, manifestDigest, entry.keyEpoch);
    }

    /// @inheritdoc ICryptletRegistry
    function setSimulationStub(CryptletId cryptletId, bytes calldata simulationStub) external {
        Cryptlet storage entry = _requireActive(cryptletId);
        if (msg.sender != entry.publisher) revert NotPublisher(msg.sender, entry.publisher);
        entry.simulationStub = simulationStub;
        emit SimulationStubChanged(cryptletId, simulationStub);
    }

    /// @inheritdoc ICryptletRegistry
    function registerContractCryptlet(ContractCryptletTerms calldata terms, CreatedInstance calldata created)
        external
        returns (RegistrationId registrationId)
    {
        CryptletId cryptletId = contractCryptletId(msg.sender, created.codeDigest);
        if (created.cryptletId != cryptletId) revert WrongCryptletId(created.cryptletId, cryptletId);
        Cryptlet storage entry = _newCryptlet(cryptletId, CryptletKind.Contract);
        _setDigests(entry, created.codeDigest, created.manifestDigest, terms.headerDigest, terms.configDigest);
        _setInstanceBounds(entry, terms.minimumInstances, terms.maximumInstances);
        _setCallBounds(entry, terms.unitsMax, terms.outputBytesMax);
        entry.boundContract = msg.sender;
        entry.isolation = terms.isolation;
        entry.simulationPolicy = terms.simulationPolicy;
        entry.simulationStub = terms.simulationStub;
        entry.identityKey = created.signer;
        entry.name = terms.name;
        _emitRegistered(cryptletId, entry);
        return _registerInstance(cryptletId, entry, created, 0);
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
        if (entry.suspendedByAdmin && msg.sender != admin) revert NotAdmin(msg.sender, admin);
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
    function registerInstance(CreatedInstance calldata created) external returns (RegistrationId registrationId) {
        Cryptlet storage entry = _requireRegistrar(created.cryptletId);
        return _registerInstance(created.cryptletId, entry, created, 0);
    }

    /// @inheritdoc ICryptletRegistry
    function rotateKeys(CreatedInstance calldata created, uint32 graceBlocks) external returns (RegistrationId registrationId) {
        Cryptlet storage entry = _requireRegistrar(created.cryptletId);
        if (created.keyEpoch <= entry.keyEpoch) revert NoRotation(created.keyEpoch, entry.keyEpoch);
        uint32 graceBlocksMax = CRYPTLET_POLICY.rotationGraceBlocksMax();
        if (graceBlocks > graceBlocksMax) revert GraceTooLong(graceBlocks, graceBlocksMax);
        return _registerInstance(created.cryptletId, entry, created, graceBlocks);
    }

    /// @inheritdoc ICryptletRegistry
    function renewInstance(RegistrationId previous, CreatedInstance calldata created)
        external
        returns (RegistrationId registrationId)
    {
        Instance storage item = _requireInstance(previous);
        Cryptlet storage entry = msg.sender == item.signer ? _requireActive(item.cryptletId) : _requireRegistrar(item.cryptletId);
        _requireRenewal(previous, item, entry, created);
        item.status = InstanceStatus.Renewed;
        RegistrationId older = renewalOf[previous];
        if (instances[older].status == InstanceStatus.Renewed) instances[older].status = InstanceStatus.Retired;
        registrationId = _newIdOf(created);
        _admit(registrationId, entry, created);
        renewalOf[registrationId] = previous;
        emit InstanceRenewed(previous, registrationId, created.notAfterBlock);
    }

    /// @inheritdoc ICryptletRegistry
    function revokeInstance(RegistrationId registrationId, string calldata reason) external {
        Instance storage item = _requireInstance(registrationId);
        Cryptlet storage entry = cryptlets[item.cryptletId];
        if (msg.sender != item.signer) _requirePublisherOrAdmin(entry);
        _endInstance(registrationId, item, entry, InstanceStatus.Revoked);
        emit InstanceRevoked(registrationId, msg.sender, reason);
        // A renewal has the same keys, so it shares their fate.
        RegistrationId newest = instanceOfSigner[item.cryptletId][item.signer];
        RegistrationId other = renewalOf[newest] == registrationId ? newest : renewalOf[registrationId];
        if (_isEndable(instances[other])) {
            _endInstance(other, instances[other], entry, InstanceStatus.Revoked);
            emit InstanceRevoked(other, msg.sender, reason);
        }
    }

    /// @inheritdoc ICryptletRegistry
    function retireInstance(RegistrationId registrationId) external {
        Instance storage item = _requireInstance(registrationId);
        Cryptlet storage entry = cryptlets[item.cryptletId];
        if (item.notAfterBlock >= block.number && _isEpochInForce(entry, item.keyEpoch)) {
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

    function _newCryptlet(CryptletId cryptletId, CryptletKind kind) private returns (Cryptlet storage entry) {
        entry = cryptlets[cryptletId];
        if (entry.status != CryptletStatus.None) revert CryptletExists(cryptletId);
        entry.status = CryptletStatus.Active;
        entry.kind = kind;
        entry.publisher = msg.sender;
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

    function _emitRegistered(CryptletId cryptletId, Cryptlet storage entry) private {
        emit CryptletRegistered(cryptletId, entry.publisher, entry.kind, entry.name, entry.codeDigest, entry.manifestDigest);
    }

    function _registerInstance(
        CryptletId cryptletId,
        Cryptlet storage entry,
        CreatedInstance calldata created,
        uint32 graceBlocks
    ) private returns (RegistrationId registrationId) {
        registrationId = _newIdOf(created);
        if (created.keyEpoch < entry.keyEpoch) revert StaleKeyEpoch(created.keyEpoch, entry.keyEpoch);
        if (!_isSignerFree(instanceOfSigner[cryptletId][created.signer], created.keyEpoch)) {
            revert SignerInUse(cryptletId, created.signer);
        }
        _makeRoom(cryptletId, entry, created.keyEpoch, graceBlocks);
        _admit(registrationId, entry, created);
    }

    function _newIdOf(CreatedInstance calldata created) private view returns (RegistrationId registrationId) {
        registrationId = RegistrationId.wrap(FabricTypedData.hash(FabricTypedData.keysOf(created)));
        if (instances[registrationId].status != InstanceStatus.None) revert InstanceExists(registrationId);
    }

    /// Checks what an instance shows, and enters it. There is room for it.
    function _admit(RegistrationId registrationId, Cryptlet storage entry, CreatedInstance calldata created) private {
        if (genesisHash == bytes32(0)) revert NotInitialized();
        CryptletId cryptletId = created.cryptletId;
        _requireFits(entry, created);
        EvidenceCheck.requireKeys(created, registrationId, genesisHash);
        Claims memory claims = EvidenceCheck.appraise(created, registrationId, entry);

        Instance storage item = instances[registrationId];
        _store(item, created, claims);
        registrationIds[cryptletId].push(registrationId);
        instanceOfSigner[cryptletId][created.signer] = registrationId;

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
        if (instances[previous].status == InstanceStatus.Revoked) return false;
        return !isInstanceActive(previous) || keyEpoch > instances[previous].keyEpoch;
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
        item.status = InstanceStatus.Active;
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
    }

    function _endInstance(RegistrationId registrationId, Instance storage item, Cryptlet storage entry, InstanceStatus status)
        private
    {
        if (!_isEndable(item)) revert InstanceNotActive(registrationId);
        // What was renewed takes no room: its successor does.
        if (item.keyEpoch == entry.keyEpoch && item.status == InstanceStatus.Active) --entry.activeInstances;
        item.status = status;
    }

    function _isEndable(Instance storage item) private view returns (bool) {
        return item.status == InstanceStatus.Active || item.status == InstanceStatus.Renewed;
    }

    function _isEpochInForce(Cryptlet storage entry, uint64 keyEpoch) private view returns (bool) {
        bool isInGrace = keyEpoch != 0 && keyEpoch == entry.previousEpoch && block.number <= entry.previousEpochUntil;
        return keyEpoch == entry.keyEpoch || isInGrace;
    }

    function _isInForce(Instance storage item) private view returns (bool) {
        Cryptlet storage entry = cryptlets[item.cryptletId];
        return _isEndable(item) && entry.status == CryptletStatus.Active && _isEpochInForce(entry, item.keyEpoch)
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

    function _requireKnown(CryptletId cryptletId) private view returns (Cryptlet storage entry) {
        entry = cryptlets[cryptletId];
        if (entry.status == CryptletStatus.None) revert UnknownCryptlet(cryptletId);
    }

    function _requireActive(CryptletId cryptletId) private view returns (Cryptlet storage entry) {
        entry = _requireKnown(cryptletId);
        if (entry.status != CryptletStatus.Active) revert CryptletNotActive(cryptletId, entry.status);
    }

    function _requireRegistrar(CryptletId cryptletId) private view returns (Cryptlet storage entry) {
        entry = _requireActive(cryptletId);
        if (msg.sender != entry.publisher && msg.sender != admin && !isHostOperator[msg.sender]) {
            revert NotRegistrar(msg.sender, cryptletId);
        }
    }

    function _requireInstance(RegistrationId registrationId) private view returns (Instance storage item) {
        item = instances[registrationId];
        if (item.status == InstanceStatus.None) revert UnknownInstance(registrationId);
    }

    function _requirePublisherOrAdmin(Cryptlet storage entry) private view {
        if (msg.sender != entry.publisher && msg.sender != admin) revert NotPublisher(msg.sender, entry.publisher);
    }
}
