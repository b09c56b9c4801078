// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CRYPTLET_REGISTRY, CRYPTO_DELEGATE} from "./libraries/SystemContracts.sol";
import {CryptletStatus} from "./types/Words.sol";
import {Cryptlet} from "./types/Cryptlet.sol";
import {CryptletId, RegistrationId} from "./types/Ids.sol";

/// @title CryptletProxy: base of contracts that use a utility cryptlet
/// @notice Holds the reference that a developer wrote down at design time, as the papers have it: which cryptlet, under which public
/// key, on which attested host, with which interface. A contract that derives from it calls the cryptlet like a function:
/// `abi.decode(_invoke(abi.encodeCall(EquityTools.volatility, (closes, 252))), (uint256))`.
abstract contract CryptletProxy {
    /// @notice The registry has no such cryptlet, or not an active one.
    error CryptletNotAvailable(CryptletId cryptlet, CryptletStatus status);

    /// @notice The registry holds another public key for the cryptlet than the one written down.
    error WrongPublicKey(CryptletId cryptlet, address expected, address registered);

    /// @notice Who deployed the proxy.
    address public immutable owner;

    /// @notice The cryptlet's id in the registry.
    CryptletId public immutable cryptlet;

    /// @notice The cryptlet's identity key, as an address; zero if none was written down.
    address public immutable publicKey;

    /// @notice The host key that was written down, as an address; zero if any host will do.
    address public immutable attestedHost;

    /// @notice The cryptlet's name.
    string public name;

    /// @notice The header the calls are typed with, such as `EquityTools`: the papers' `interface`.
    string public interfaceName;

    constructor(
        string memory name_,
        CryptletId cryptlet_,
        address publicKey_,
        address attestedHost_,
        string memory interfaceName_
    ) {
        owner = msg.sender;
        name = name_;
        cryptlet = cryptlet_;
        publicKey = publicKey_;
        attestedHost = attestedHost_;
        interfaceName = interfaceName_;

        Cryptlet memory entry = CRYPTLET_REGISTRY.cryptlet(cryptlet_);
        if (entry.status != CryptletStatus.Active) revert CryptletNotAvailable(cryptlet_, entry.status);
        if (publicKey_ != address(0) && publicKey_ != entry.identityKey) {
            revert WrongPublicKey(cryptlet_, publicKey_, entry.identityKey);
        }
    }

    /// @notice Is the cryptlet served, in the current block, by an instance that `attestedHost` vouches for (by any, if it is zero)?
    function isAttested() external view returns (bool) {
        RegistrationId[] memory registrations = CRYPTLET_REGISTRY.instancesOf(cryptlet);
        for (uint256 index = registrations.length; index > 0; --index) {
            RegistrationId registrationId = registrations[index - 1];
            if (!CRYPTLET_REGISTRY.isInstanceActive(registrationId)) continue;
            if (attestedHost == address(0)) return true;
            if (CRYPTLET_REGISTRY.instance(registrationId).endorser == attestedHost) return true;
        }
        return false;
    }

    /// @dev Calls the cryptlet and returns its ABI-encoded return values. Reverts with `ICryptoDelegate.CryptletError`.
    function _invoke(bytes memory input) internal returns (bytes memory output) {
        return CRYPTO_DELEGATE.invoke(cryptlet, input);
    }
}
