// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAdministered} from "../src/interfaces/IAdministered.sol";
import {ICryptletPolicy} from "../src/interfaces/ICryptletPolicy.sol";
import {CRYPTLET_POLICY as POLICY} from "../src/libraries/SystemContracts.sol";
import {Claims} from "../src/types/Creation.sol";
import {ContainerKind, Isolation, Providers, TcbStatuses} from "../src/types/Words.sol";
import {FabricTest} from "./support/FabricTest.sol";
import {vm} from "./support/Vm.sol";

contract CryptletPolicyTest is FabricTest {
    function test_genesis_acceptsTheSoftwareProviderOnly() public view {
        POLICY.requireAccepted(_claims());
        vm.assertEq(POLICY.version(), 1, "version");
        vm.assertEq(POLICY.acceptedProviders(), 1 << Providers.SOFTWARE, "providers");
        vm.assertTrue(POLICY.minimumIsolation() == Isolation.Process, "isolation");
        vm.assertTrue(!POLICY.isProviderAccepted(Providers.SGX), "sgx");
    }

    function test_setProviderAccepted_raisesTheVersion() public {
        vm.expectEmit(address(POLICY));
        emit ICryptletPolicy.ProviderAcceptanceChanged(Providers.TDX, true, 2);
        vm.prank(ADMIN);
        POLICY.setProviderAccepted(Providers.TDX, true);
        vm.assertEq(POLICY.version(), 2, "version");
        vm.assertTrue(POLICY.isProviderAccepted(Providers.TDX), "tdx");
        vm.assertTrue(POLICY.isProviderAccepted(Providers.SOFTWARE), "software");
    }

    function testFuzz_setProviderAccepted_touchesOneProvider(uint16 provider, bool isAccepted) public {
        provider = provider % 32;
        uint32 before = POLICY.acceptedProviders();
        vm.prank(ADMIN);
        POLICY.setProviderAccepted(provider, isAccepted);
        uint32 bit = uint32(1) << provider;
        vm.assertEq(POLICY.acceptedProviders(), isAccepted ? before | bit : before & ~bit, "providers");
        vm.assertEq(POLICY.isProviderAccepted(provider), isAccepted, "provider");
    }

    function test_setProviderAccepted_refusesNumbersThatHaveNoBit() public {
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.ProviderOutOfRange.selector, 32, 31));
        vm.prank(ADMIN);
        POLICY.setProviderAccepted(32, true);
        vm.assertTrue(!POLICY.isProviderAccepted(32), "provider 32");
        vm.assertTrue(!POLICY.isProviderAccepted(33), "provider 33 stands for 1");
    }

    function test_everySetter_isTheAdminsOnly() public {
        bytes[14] memory calls = [
            abi.encodeCall(POLICY.setProviderAccepted, (1, false)),
            abi.encodeCall(POLICY.setMinimumIsolation, (Isolation.None)),
            abi.encodeCall(POLICY.setTcbStatusTolerated, (TcbStatuses.OUT_OF_DATE, true)),
            abi.encodeCall(POLICY.setMeasurementRestricted, (1, true)),
            abi.encodeCall(POLICY.setMeasurementListed, (1, MEASUREMENT, true)),
            abi.encodeCall(POLICY.setEndorserRestricted, (true)),
            abi.encodeCall(POLICY.setEndorserListed, (STRANGER, true)),
            abi.encodeCall(POLICY.setKeyLifetimeBlocksMax, (5)),
            abi.encodeCall(POLICY.setRotationGraceBlocksMax, (5)),
            abi.encodeCall(POLICY.setActivationAutomatic, (false)),
            abi.encodeCall(POLICY.setAcceptedVersions, (ContainerKind.Wasm, 1, 2)),
            abi.encodeCall(POLICY.revokeProvider, (1, "why")),
            abi.encodeCall(POLICY.revokeMeasurement, (1, MEASUREMENT, "why")),
            abi.encodeCall(POLICY.revokeEndorser, (STRANGER, "why"))
        ];
        for (uint256 index; index < calls.length; ++index) {
            vm.prank(STRANGER);
            (bool isDone, bytes memory reason) = address(POLICY).call(calls[index]);
            vm.assertTrue(!isDone, "a stranger changed the policy");
            vm.assertEq(reason, abi.encodeWithSelector(IAdministered.NotAdmin.selector, STRANGER, ADMIN), "reason");
            vm.prank(ADMIN);
            (isDone,) = address(POLICY).call(calls[index]);
            vm.assertTrue(isDone, "the admin could not change the policy");
            vm.assertEq(POLICY.version(), index + 2, "version");
        }
    }

    function test_requireAccepted_refusesWeakIsolation() public {
        vm.prank(ADMIN);
        POLICY.setMinimumIsolation(Isolation.Enclave);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.IsolationTooWeak.selector, Isolation.Process, Isolation.Enclave));
        POLICY.requireAccepted(_claims());
    }

    function test_requireAccepted_refusesUnlistedMeasurementsWhereRestricted() public {
        vm.startPrank(ADMIN);
        POLICY.setMeasurementRestricted(Providers.SOFTWARE, true);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.MeasurementNotAccepted.selector, Providers.SOFTWARE, MEASUREMENT));
        POLICY.requireAccepted(_claims());
        POLICY.setMeasurementListed(Providers.SOFTWARE, MEASUREMENT, true);
        POLICY.requireAccepted(_claims());
        vm.stopPrank();
    }

    function test_requireAccepted_refusesUnlistedEndorsersWhereRestricted() public {
        vm.startPrank(ADMIN);
        POLICY.setEndorserRestricted(true);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.EndorserNotAccepted.selector, vm.addr(HOST_KEY)));
        POLICY.requireAccepted(_claims());
        POLICY.setEndorserListed(vm.addr(HOST_KEY), true);
        POLICY.requireAccepted(_claims());
        vm.stopPrank();
    }

    function test_setTcbStatusTolerated_setsOneBit_butNeverForTheBestOrTheWorst() public {
        vm.startPrank(ADMIN);
        POLICY.setTcbStatusTolerated(TcbStatuses.OUT_OF_DATE, true);
        POLICY.setTcbStatusTolerated(TcbStatuses.SW_HARDENING_NEEDED, true);
        vm.assertEq(POLICY.toleratedTcb(), 0x12, "two bits");
        POLICY.setTcbStatusTolerated(TcbStatuses.OUT_OF_DATE, false);
        vm.assertEq(POLICY.toleratedTcb(), 0x02, "one bit");
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.TcbStatusNotTolerable.selector, 0));
        POLICY.setTcbStatusTolerated(0, true);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.TcbStatusNotTolerable.selector, 8));
        POLICY.setTcbStatusTolerated(8, true);
        vm.stopPrank();
    }

    function test_revocations_holdWhereNothingIsRestricted_untilListedAgain() public {
        Claims memory claims = _claims();
        vm.startPrank(ADMIN);
        POLICY.revokeMeasurement(Providers.SOFTWARE, MEASUREMENT, "bug");
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.MeasurementNotAccepted.selector, Providers.SOFTWARE, MEASUREMENT));
        POLICY.requireAccepted(claims);
        vm.assertTrue(!_accepts(claims), "measurement");
        POLICY.setMeasurementListed(Providers.SOFTWARE, MEASUREMENT, true);
        POLICY.requireAccepted(claims);
        POLICY.revokeEndorser(claims.endorser, "stolen");
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.EndorserNotAccepted.selector, claims.endorser));
        POLICY.requireAccepted(claims);
        vm.assertTrue(!_accepts(claims), "endorser");
        POLICY.setEndorserListed(claims.endorser, true);
        vm.assertTrue(_accepts(claims), "listed again");
        POLICY.revokeProvider(Providers.SOFTWARE, "production begins");
        vm.assertTrue(!_accepts(claims), "provider");
        vm.stopPrank();
    }

    function _accepts(Claims memory claims) private view returns (bool) {
        return POLICY.accepts(claims.provider, claims.isolation, claims.measurement, claims.endorser);
    }

    function test_requireAccepted_believesNoUnlistedEndorserOfATpm() public {
        Claims memory claims = _claims();
        claims.provider = Providers.TPM;
        vm.startPrank(ADMIN);
        POLICY.setProviderAccepted(Providers.TPM, true);
        vm.expectRevert(abi.encodeWithSelector(ICryptletPolicy.EndorserNotAccepted.selector, vm.addr(HOST_KEY)));
        POLICY.requireAccepted(claims);
        POLICY.setEndorserListed(vm.addr(HOST_KEY), true);
        POLICY.requireAccepted(claims);
        vm.stopPrank();
    }

    function _claims() private view returns (Claims memory) {
        return Claims({
            provider: Providers.SOFTWARE,
            isolation: Isolation.Process,
            measurement: MEASUREMENT,
            reportData: 0,
            endorser: vm.addr(HOST_KEY),
            expires: uint64(block.timestamp)
        });
    }
}
