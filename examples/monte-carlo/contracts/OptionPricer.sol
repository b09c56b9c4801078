// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletProxy} from "@cryptlet/contracts/CryptletProxy.sol";
import {CryptletId} from "@cryptlet/contracts/types/Ids.sol";
import {MonteCarlo} from "./MonteCarlo.sol";

/// @title OptionPricer: prices an option in the cryptlet
contract OptionPricer is CryptletProxy, MonteCarlo {
    event OptionPriced(address indexed client, uint32 paths, uint256 callPrice, uint256 standardError);

    /// @notice The last price and its standard error, fixed point with 18 decimals.
    uint256 public lastPrice;
    uint256 public lastStandardError;

    constructor(CryptletId monteCarlo, address publicKey_, address attestedHost_)
        CryptletProxy("monte-carlo", monteCarlo, publicKey_, attestedHost_, "MonteCarlo")
    {}

    /// @inheritdoc MonteCarlo
    /// @dev The arguments go on as they came: the call data is a call of the same function.
    function price(uint256, uint256, uint256, uint256, uint256, uint32 paths, uint64)
        external
        returns (uint256 callPrice, uint256 standardError)
    {
        (callPrice, standardError) = abi.decode(_invoke(msg.data), (uint256, uint256));
        (lastPrice, lastStandardError) = (callPrice, standardError);
        emit OptionPriced(msg.sender, paths, callPrice, standardError);
    }
}
