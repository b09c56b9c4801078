// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICryptletRegistry} from "../src/interfaces/ICryptletRegistry.sol";
import {FabricTypedData} from "../src/libraries/FabricTypedData.sol";
import {CRYPTLET_REGISTRY as REGISTRY} from "../src/libraries/SystemContracts.sol";
import {UtilityRegistration} from "../src/types/Cryptlet.sol";
import {Authorization, CreatedInstance} from "../src/types/Creation.sol";
import {CryptletId, RegistrationId, utilityCryptletId} from "../src/types/Ids.sol";
import {FabricDomain, InstanceAuthorization} from "../src/types/Signed.sol";
import {ContainerKind, Isolation, SimulationPolicy} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

/// @notice A registrar that has code and no key: it speaks by sending.
contract SpeakingRegistrar {
    function register(CreatedInstance calldata created, Authorization calldata authorization) external returns (RegistrationId) {
        return REGISTRY.registerInstance(created, authorization);
    }
}

/// @notice Whoever sends a registration, it is the registrar's and every registered key's own word, once, here, and not for ever.
contract CosigningTest is FabricTest {
    // --- cryptlets ---

    function test_registerUtility_byWhoeverSendsIt_isThePublishers() public {
        CryptletId id = registerUtility("tools");
        assertSame(id, utilityCryptletId(PUBLISHER, "tools"), "id");
        vm.assertEq(REGISTRY.cryptlet(id).publisher, PUBLISHER, "publisher, not the sender");
        vm.assertEq(REGISTRY.cryptlet(id).identityKey, IDENTITY, "identity");
    }

    function test_registerUtility_refusesAnIdentityKeyThatNobodyShows() public {
        UtilityRegistration memory said = utility("tools");
        (Authorization memory authorization,) = _saying(said);
        bytes memory byAnother = signFor(0x99, hashOf(said, PUBLISHER, deadline()));
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidIdentitySignature.selector, IDENTITY));
        REGISTRY.registerUtility(said, authorization, byAnother);
        said.identityKey = address(0);
        (authorization, byAnother) = _saying(said);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidIdentitySignature.selector, address(0)));
        REGISTRY.registerUtility(said, authorization, byAnother);
    }

    function test_registerUtility_refusesASecondUse_andAnotherChainsOrAnotherRegistrys() public {
        UtilityRegistration memory said = utility("tools");
        (Authorization memory authorization, bytes memory identitySignature) = _saying(said);
        CryptletId id = REGISTRY.registerUtility(said, authorization, identitySignature);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.CryptletExists.selector, id));
        REGISTRY.registerUtility(said, authorization, identitySignature);

        said = utility("other");
        bytes32 structHash = hashOf(said, PUBLISHER, deadline());
        FabricDomain memory here = domain();
        bytes32[3] memory elsewhere = [
            FabricTypedData.registrySeparator(FabricDomain(here.chainId + 1, here.genesisHash)),
            FabricTypedData.registrySeparator(FabricDomain(here.chainId, keccak256("another genesis"))),
            FabricTypedData.separator(FabricTypedData.REGISTRY_NAME_HASH, address(0xBAD), here)
        ];
        for (uint256 index; index < elsewhere.length; ++index) {
            authorization = Authorization(PUBLISHER, deadline(), sign(PUBLISHER_KEY, elsewhere[index], structHash));
            identitySignature = signFor(IDENTITY_KEY, structHash);
            vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER));
            REGISTRY.registerUtility(said, authorization, identitySignature);
        }
    }

    function test_registerUtility_holdsUntilItsDeadlineAndNoLonger() public {
        UtilityRegistration memory said = utility("tools");
        uint64 last = deadline();
        (Authorization memory authorization, bytes memory identitySignature) = _saying(said);
        vm.roll(last + 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.AuthorizationExpired.selector, last, last + 1));
        REGISTRY.registerUtility(said, authorization, identitySignature);
        vm.roll(last);
        REGISTRY.registerUtility(said, authorization, identitySignature);
    }

    /// Every field, changed after it was signed.
    function test_registerUtility_refusesEveryChangeOfWhatWasSigned() public {
        (Authorization memory authorization, bytes memory identitySignature) = _saying(utility("tools"));
        bytes memory signature = authorization.signature;
        uint64 last = authorization.deadlineBlock;
        for (uint256 field; field < 15; ++field) {
            UtilityRegistration memory said = utility("tools");
            authorization = Authorization(PUBLISHER, last, signature);
            if (field == 0) said.name = "tools2";
            else if (field == 1) said.codeDigest ^= bytes32(uint256(1));
            else if (field == 2) said.manifestDigest ^= bytes32(uint256(1));
            else if (field == 3) said.headerDigest ^= bytes32(uint256(1));
            else if (field == 4) said.configDigest ^= bytes32(uint256(1));
            else if (field == 5) said.identityKey = STRANGER;
            else if (field == 6) said.isolation = Isolation.None;
            else if (field == 7) said.minimumInstances = 2;
            else if (field == 8) said.maximumInstances = 3;
            else if (field == 9) said.unitsMax += 1;
            else if (field == 10) said.outputBytesMax += 1;
            else if (field == 11) said.simulationPolicy = SimulationPolicy.Deny;
            else if (field == 12) said.simulationStub = hex"00";
            else if (field == 13) authorization.deadlineBlock += 1;
            else authorization.registrar = STRANGER;
            vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, authorization.registrar));
            REGISTRY.registerUtility(said, authorization, identitySignature);
        }
    }

    function testFuzz_registerUtility_refusesEveryFlippedBitOfASignature(uint16 position, bool isIdentity) public {
        UtilityRegistration memory said = utility("tools");
        (Authorization memory authorization, bytes memory identitySignature) = _saying(said);
        _flip(isIdentity ? identitySignature : authorization.signature, position);
        vm.expectRevert(
            isIdentity
                ? abi.encodeWithSelector(ICryptletRegistry.InvalidIdentitySignature.selector, IDENTITY)
                : abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER)
        );
        REGISTRY.registerUtility(said, authorization, identitySignature);
    }

    // --- instances ---

    function test_registerInstance_byTheIdentityKey() public {
        CryptletId tools = registerUtility("tools");
        RegistrationId id = registerInstance(IDENTITY_KEY, instanceOf(tools, INSTANCE_KEY, 1));
        vm.assertTrue(REGISTRY.isInstanceActive(id), "counts");
    }

    function test_registerInstance_refusesItsOwnKeysWord() public {
        CryptletId tools = registerUtility("tools");
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.NotRegistrar.selector, created.signer, tools));
        registerInstance(INSTANCE_KEY, created);
    }

    function test_registerInstance_refusesWhatWasAuthorizedForSomethingElse() public {
        CryptletId tools = registerUtility("tools");
        RegistrationId first = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
        CreatedInstance memory second = instanceOf(tools, 0x22, 2);
        bytes memory refusal = abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER);

        Authorization memory withGrace = authorized(PUBLISHER_KEY, second, RegistrationId.wrap(0), 5);
        vm.expectRevert(refusal);
        REGISTRY.registerInstance(second, withGrace);
        vm.expectRevert(refusal);
        REGISTRY.rotateKeys(second, 6, withGrace);
        Authorization memory asRenewal = authorized(PUBLISHER_KEY, second, first, 0);
        vm.expectRevert(refusal);
        REGISTRY.registerInstance(second, asRenewal);
        Authorization memory ofAnother = authorized(PUBLISHER_KEY, instanceOf(tools, 0x33, 2), RegistrationId.wrap(0), 0);
        vm.expectRevert(refusal);
        REGISTRY.registerInstance(second, ofAnother);
        withGrace.deadlineBlock += 1;
        vm.expectRevert(refusal);
        REGISTRY.rotateKeys(second, 5, withGrace);
        withGrace.deadlineBlock = uint64(block.number) - 1;
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.AuthorizationExpired.selector, block.number - 1, block.number));
        REGISTRY.rotateKeys(second, 5, withGrace);
        // The keys' own signature says nothing about who answers for them.
        Authorization memory inTheirName = Authorization(PUBLISHER, deadline(), second.keysSignature);
        vm.expectRevert(refusal);
        REGISTRY.registerInstance(second, inTheirName);
    }

    function testFuzz_registerInstance_refusesEveryFlippedBitOfASignature(uint16 position, bool isKeys) public {
        CryptletId tools = registerUtility("tools");
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        Authorization memory authorization = authorized(PUBLISHER_KEY, created, RegistrationId.wrap(0), 0);
        _flip(isKeys ? created.keysSignature : authorization.signature, position);
        vm.expectRevert(
            isKeys
                ? abi.encodeWithSelector(ICryptletRegistry.InvalidKeysSignature.selector, created.signer)
                : abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER)
        );
        REGISTRY.registerInstance(created, authorization);
    }

    /// What the instance's key signs binds every other key and number: a change of any makes another id, which nobody authorized.
    function test_registerInstance_refusesEveryChangeOfTheKeys() public {
        CryptletId tools = registerUtility("tools");
        CreatedInstance memory honest = instanceOf(tools, INSTANCE_KEY, 1);
        Authorization memory authorization = authorized(PUBLISHER_KEY, honest, RegistrationId.wrap(0), 0);
        for (uint256 field; field < 10; ++field) {
            CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
            if (field == 0) created.codeDigest ^= bytes32(uint256(1));
            else if (field == 1) created.manifestDigest ^= bytes32(uint256(1));
            else if (field == 2) created.signer = STRANGER;
            else if (field == 3) created.hpkeKey ^= bytes32(uint256(1));
            else if (field == 4) created.keyEpoch += 1;
            else if (field == 5) created.anchorBlock -= 1;
            else if (field == 6) created.anchorHash ^= bytes32(uint256(1));
            else if (field == 7) created.notAfterBlock += 1;
            else if (field == 8) created.container = ContainerKind.Evm;
            else created.version += 1;
            vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER));
            REGISTRY.registerInstance(created, authorization);
            // Authorized anew, it is still not what the instance signed.
            Authorization memory anew = authorized(PUBLISHER_KEY, created, RegistrationId.wrap(0), 0);
            try REGISTRY.registerInstance(created, anew) {
                vm.assertTrue(false, "accepted");
            } catch {}
        }
        REGISTRY.registerInstance(honest, authorization);
    }

    function test_aContractThatMayRegister_speaksBySending_andNobodySpeaksForIt() public {
        CryptletId tools = registerUtility("tools");
        SpeakingRegistrar operator = new SpeakingRegistrar();
        vm.prank(ADMIN);
        REGISTRY.setHostOperator(address(operator), true);
        CreatedInstance memory created = instanceOf(tools, INSTANCE_KEY, 1);
        Authorization memory unsigned = Authorization(address(operator), deadline(), "");
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, address(operator)));
        REGISTRY.registerInstance(created, unsigned);
        vm.assertTrue(REGISTRY.isInstanceActive(operator.register(created, unsigned)), "counts");
        // An account without code has a key to sign with.
        Authorization memory silent = Authorization(PUBLISHER, deadline(), "");
        CreatedInstance memory second = instanceOf(tools, 0x22, 1);
        vm.expectRevert(abi.encodeWithSelector(ICryptletRegistry.InvalidAuthorization.selector, PUBLISHER));
        vm.prank(PUBLISHER);
        REGISTRY.registerInstance(second, silent);
    }

    // --- helpers ---

    function _saying(UtilityRegistration memory said) private view returns (Authorization memory, bytes memory) {
        bytes32 structHash = hashOf(said, PUBLISHER, deadline());
        Authorization memory authorization = Authorization(PUBLISHER, deadline(), signFor(PUBLISHER_KEY, structHash));
        return (authorization, signFor(IDENTITY_KEY, structHash));
    }

    function _flip(bytes memory signature, uint16 position) private pure {
        uint256 bit = uint256(position) % (8 * signature.length);
        signature[bit / 8] ^= bytes1(uint8(1) << uint8(bit % 8));
    }
}
