// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletId} from "@cryptlet/contracts/types/Ids.sol";
import {StockClient} from "@cryptlet/examples/equity-tools/contracts/StockClient.sol";
import {vm} from "../test/support/Vm.sol";

/// @notice Deploys a client of the utility cryptlet `equity-tools`:
/// `forge script script/DeployStockClient.s.sol --rpc-url … --private-key … --broadcast --sig 'run(bytes32)' CRYPTLET_ID`.
/// @dev forge runs a script in its own EVM first, on a fork of the chain, where the registry is but the delegate is not: a script may
/// deploy whatever does not call a cryptlet in its constructor. Contract Cryptlets deploy with `forge create`.
contract DeployStockClient {
    function run(bytes32 equityTools) external returns (StockClient client) {
        vm.startBroadcast();
        client = new StockClient(CryptletId.wrap(equityTools), address(0), address(0));
        vm.stopBroadcast();
    }
}
