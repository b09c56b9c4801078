// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {AttestationVerifier} from "../src/AttestationVerifier.sol";
import {TrustedInstanceDirectory} from "../src/TrustedInstanceDirectory.sol";
import {EnvelopeFault} from "../src/interfaces/IAttestationVerifier.sol";
import {FabricTypedData} from "../src/libraries/FabricTypedData.sol";
import {
    ATTESTATION_VERIFIER as VERIFIER,
    CRYPTLET_POLICY,
    CRYPTLET_REGISTRY as REGISTRY
} from "../src/libraries/SystemContracts.sol";
import {InstanceState} from "../src/types/Cryptlet.sol";
import {CryptletId, RegistrationId} from "../src/types/Ids.sol";
import {Envelope, CryptletRequest, CryptletResult, FabricDomain} from "../src/types/Signed.sol";
import {Isolation, Providers} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

contract AttestationVerifierTest is FabricTest {
    CryptletId internal tools;
    RegistrationId internal registration;

    function setUp() public override {
        super.setUp();
        tools = registerUtility("tools");
        registration = registerInstance(instanceOf(tools, INSTANCE_KEY, 1));
    }

    function test_verify_acceptsWhatAnInstanceSigned() public view {
        vm.assertTrue(VERIFIER.verify(_envelope()), "refused");
    }

    function test_verify_acceptsSignedFailures() public view {
        Envelope memory envelope = _envelope();
        envelope.result.status = 1;
        _expect(_signed(envelope), EnvelopeFault.None);
    }

    // --- one byte off ---

    function test_check_namesWhatIsWrong() public view {
        Envelope memory envelope = _envelope();
        envelope.request.caller = STRANGER;
        _expect(envelope, EnvelopeFault.WrongRequest);

        envelope = _envelope();
        envelope.output = abi.encode(43);
        _expect(envelope, EnvelopeFault.WrongOutput);

        envelope = _envelope();
        envelope.result.status = 2;
        _expect(_signed(envelope), EnvelopeFault.UnsignedStatus);

        envelope = _envelope();
        envelope.result.registrationId = RegistrationId.wrap(keccak256("unknown"));
        _expect(_signed(envelope), EnvelopeFault.InactiveInstance);

        envelope = _envelope();
        envelope.request.cryptletId = CryptletId.wrap(keccak256("other"));
        _expect(_resigned(envelope), EnvelopeFault.WrongCryptlet);

        envelope = _envelope();
        envelope.request.codeDigest = keccak256("other code");
        _expect(_resigned(envelope), EnvelopeFault.WrongCode);

        envelope = _envelope();
        envelope.result.keyEpoch = 2;
        _expect(_signed(envelope), EnvelopeFault.WrongKeyEpoch);

        envelope = _envelope();
        envelope.result.units += 1;
        _expect(envelope, EnvelopeFault.WrongSigner);

        envelope = _envelope();
        envelope.result.notBefore = 11;
        _expect(_signed(envelope), EnvelopeFault.NotYetValid);

        envelope = _envelope();
        envelope.result.expires = 9;
        _expect(_signed(envelope), EnvelopeFault.Expired);
    }

    function testFuzz_check_refusesEveryFlippedBitOfTheSignature(uint16 bit) public view {
        bit = bit % (65 * 8);
        Envelope memory envelope = _envelope();
        envelope.signature[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        _expect(envelope, EnvelopeFault.WrongSigner);
    }

    function testFuzz_check_refusesOtherKeys(uint256 key) public view {
        key = 1 + key % (2 ** 255);
        vm.assume(vm.addr(key) != vm.addr(INSTANCE_KEY));
        Envelope memory envelope = _envelope();
        envelope.signature = sign(key, FabricTypedData.liveSeparator(domain()), FabricTypedData.hash(envelope.result));
        _expect(envelope, EnvelopeFault.WrongSigner);
    }

    function test_check_refusesShortAndLongSignatures() public view {
        Envelope memory envelope = _envelope();
        envelope.signature = "";
        _expect(envelope, EnvelopeFault.WrongSigner);
        envelope = _envelope();
        envelope.signature = bytes.concat(envelope.signature, hex"00");
        _expect(envelope, EnvelopeFault.WrongSigner);
    }

    function test_check_refusesDryRuns() public view {
        Envelope memory envelope = _envelope();
        bytes32 dryRun = FabricTypedData.separator(FabricTypedData.DRY_RUN_NAME_HASH, domain());
        envelope.signature = sign(INSTANCE_KEY, dryRun, FabricTypedData.hash(envelope.result));
        _expect(envelope, EnvelopeFault.WrongSigner);
    }

    function test_check_refusesOtherChains() public {
        Envelope memory envelope = _envelope();
        vm.chainId(1);
        _expect(envelope, EnvelopeFault.WrongSigner);
    }

    // --- after the instance's end ---

    function test_check_refusesRevokedInstances() public {
        vm.prank(PUBLISHER);
        REGISTRY.revokeInstance(registration, "key leaked");
        _expect(_envelope(), EnvelopeFault.InactiveInstance);
    }

    function test_check_refusesInstancesOfSuspendedCryptlets() public {
        vm.prank(PUBLISHER);
        REGISTRY.suspendCryptlet(tools);
        _expect(_envelope(), EnvelopeFault.InactiveInstance);
    }

    function test_check_refusesWhatThePolicyNoLongerAccepts() public {
        uint256 snapshot = vm.snapshotState();
        vm.prank(ADMIN);
        CRYPTLET_POLICY.setProviderAccepted(Providers.SOFTWARE, false);
        _expect(_envelope(), EnvelopeFault.NotAccepted);
        vm.revertToState(snapshot);
        vm.prank(ADMIN);
        CRYPTLET_POLICY.setMinimumIsolation(Isolation.Vm);
        _expect(_envelope(), EnvelopeFault.NotAccepted);
    }

    function test_check_refusesRotatedKeys() public {
        registerInstance(instanceOf(tools, 0x22, 2));
        _expect(_envelope(), EnvelopeFault.InactiveInstance);
    }

    function test_check_refusesInstancesPastTheirLastBlock() public {
        Envelope memory envelope = _envelope();
        envelope.result.expires = type(uint64).max;
        envelope = _signed(envelope);
        vm.roll(NOT_AFTER_BLOCK);
        _expect(envelope, EnvelopeFault.None);
        vm.roll(NOT_AFTER_BLOCK + 1);
        _expect(envelope, EnvelopeFault.Expired);
    }

    // --- on a chain without registry and delegate ---

    function test_checkForeign_needsNeitherRegistryNorDelegate() public {
        Envelope memory envelope = _envelope();
        FabricDomain memory home = domain();
        InstanceState memory state = REGISTRY.instanceState(registration);
        vm.etch(address(REGISTRY), "");
        vm.chainId(1);
        vm.roll(20_000_000);

        AttestationVerifier verifier = new AttestationVerifier();
        TrustedInstanceDirectory directory = new TrustedInstanceDirectory(ADMIN);
        vm.assertTrue(verifier.checkForeign(envelope, home, directory) == EnvelopeFault.InactiveInstance, "before it is stated");
        vm.prank(ADMIN);
        directory.setInstanceState(registration, state);
        vm.assertTrue(verifier.checkForeign(envelope, home, directory) == EnvelopeFault.None, "after");

        home.genesisHash = keccak256("other");
        vm.assertTrue(verifier.checkForeign(envelope, home, directory) == EnvelopeFault.WrongSigner, "other genesis");
    }

    function test_trustedInstanceDirectory_isItsOwnersOnly() public {
        TrustedInstanceDirectory directory = new TrustedInstanceDirectory(ADMIN);
        InstanceState memory state = REGISTRY.instanceState(registration);
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, STRANGER));
        vm.prank(STRANGER);
        directory.setInstanceState(registration, state);
    }

    // --- helpers ---

    function _envelope() private view returns (Envelope memory envelope) {
        envelope.request = CryptletRequest({
            key: keccak256("key"),
            cryptletId: tools,
            caller: PUBLISHER,
            codeDigest: CODE_DIGEST,
            inputHash: keccak256("input"),
            anchorBlock: 9,
            anchorHash: blockHashOf(9),
            policyVersion: 1
        });
        envelope.output = abi.encode(42);
        envelope.result = CryptletResult({
            requestHash: 0,
            registrationId: registration,
            keyEpoch: 1,
            status: 0,
            outputHash: keccak256(envelope.output),
            units: 100,
            observedAt: uint64(block.timestamp),
            notBefore: 10,
            expires: 20
        });
        return _resigned(envelope);
    }

    function _resigned(Envelope memory envelope) private view returns (Envelope memory) {
        envelope.result.requestHash = FabricTypedData.hash(envelope.request);
        return _signed(envelope);
    }

    function _signed(Envelope memory envelope) private view returns (Envelope memory) {
        envelope.signature = sign(INSTANCE_KEY, FabricTypedData.liveSeparator(domain()), FabricTypedData.hash(envelope.result));
        return envelope;
    }

    function _expect(Envelope memory envelope, EnvelopeFault fault) private view {
        vm.assertEq(uint256(VERIFIER.check(envelope)), uint256(fault), "fault");
        vm.assertEq(VERIFIER.verify(envelope), fault == EnvelopeFault.None, "verdict");
    }
}
