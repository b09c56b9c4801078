// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CreditDefaultSwap} from "@cryptlet/examples/credit-default-swap/contracts/CreditDefaultSwap.sol";
import {StockClient} from "@cryptlet/examples/equity-tools/contracts/StockClient.sol";
import {OptionPricer} from "@cryptlet/examples/monte-carlo/contracts/OptionPricer.sol";
import {OptionPricerSolidity} from "@cryptlet/examples/monte-carlo/contracts/OptionPricerSolidity.sol";
import {AttestationVerifier} from "../src/AttestationVerifier.sol";
import {CryptletPolicy} from "../src/CryptletPolicy.sol";
import {CryptletRegistry} from "../src/CryptletRegistry.sol";
import {TrustedInstanceDirectory} from "../src/TrustedInstanceDirectory.sol";
import {vm} from "./support/Vm.sol";

/// @notice What these tests run is what the committed artifacts hold: forge and `scripts/build-artifacts` compile alike.
contract ArtifactsTest {
    function test_systemContracts_areTheCodeInTheArtifacts() public view {
        _same("CryptletRegistry", ".deployedBytecode", type(CryptletRegistry).runtimeCode);
        _same("CryptletPolicy", ".deployedBytecode", type(CryptletPolicy).runtimeCode);
        _same("AttestationVerifier", ".deployedBytecode", type(AttestationVerifier).runtimeCode);
    }

    /// EIP-170: what is in genesis here can also be deployed elsewhere.
    function test_systemContracts_areNoLongerThanDeployedCodeMayBe() public pure {
        vm.assertTrue(type(CryptletRegistry).runtimeCode.length <= 24_576, "registry");
        vm.assertTrue(type(CryptletPolicy).runtimeCode.length <= 24_576, "policy");
    }

    function test_deployableContracts_areTheCodeInTheArtifacts() public view {
        _same("CryptletRegistry", ".bytecode", type(CryptletRegistry).creationCode);
        _same("AttestationVerifier", ".bytecode", type(AttestationVerifier).creationCode);
        _same("TrustedInstanceDirectory", ".bytecode", type(TrustedInstanceDirectory).creationCode);
        _same("CreditDefaultSwap", ".bytecode", type(CreditDefaultSwap).creationCode);
        _same("StockClient", ".bytecode", type(StockClient).creationCode);
        _same("OptionPricer", ".bytecode", type(OptionPricer).creationCode);
        _same("OptionPricerSolidity", ".bytecode", type(OptionPricerSolidity).creationCode);
    }

    function _same(string memory name, string memory key, bytes memory code) private view {
        string memory json = vm.readFile(string.concat("artifacts/", name, ".json"));
        vm.assertEq(keccak256(vm.parseJsonBytes(json, key)), keccak256(code), string.concat(name, key));
    }
}
