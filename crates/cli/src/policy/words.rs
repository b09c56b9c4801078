//! What a call of a system contract asks for, in plain words.

use crate::registry::{
    Administrators::AdministratorsCalls, CryptletPolicy::CryptletPolicyCalls, CryptletRegistry::CryptletRegistryCalls,
};
use alloy::{
    primitives::{Address, Bytes, hex},
    sol_types::SolInterface,
};
use cryptlet_primitives::{
    FabricVersion,
    names::{CONTAINERS, ISOLATIONS, PROVIDERS, TCB_STATUSES, name_of},
    system::{ADMINISTRATORS, CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};

/// A sentence without its full stop. What this version does not know is given as it is.
pub(crate) fn of_call(target: Address, data: &Bytes) -> String {
    let known = match target {
        CRYPTLET_POLICY => CryptletPolicyCalls::abi_decode(data).ok().and_then(of_policy),
        CRYPTLET_REGISTRY => CryptletRegistryCalls::abi_decode(data).ok().and_then(of_registry),
        ADMINISTRATORS => AdministratorsCalls::abi_decode(data).ok().and_then(of_council),
        _ => None,
    };
    known.unwrap_or_else(|| format!("call {target} with {}", hex::encode_prefixed(data)))
}

fn of_policy(call: CryptletPolicyCalls) -> Option<String> {
    use CryptletPolicyCalls as Call;
    let provider = |number: u16| name_of(&PROVIDERS, number);
    Some(match call {
        Call::setProviderAccepted(call) => {
            format!("{} evidence of provider {}", either(call.isAccepted, "accept", "refuse"), provider(call.provider))
        }
        Call::setMinimumIsolation(call) => {
            format!("accept no isolation below {}", name_of(&ISOLATIONS, call.isolation.into()))
        }
        Call::setMeasurementRestricted(call) => {
            let which = either(call.isRestricted, "listed measurements only", "any measurement that is not revoked");
            format!("accept from provider {} {which}", provider(call.provider))
        }
        Call::setMeasurementListed(call) => {
            let (verb, place) = either(call.isListed, ("put", "on"), ("take", "off"));
            format!("{verb} measurement {} {place} the list of provider {}", call.measurement, provider(call.provider))
        }
        Call::setEndorserRestricted(call) => {
            format!("accept {}", either(call.isRestricted, "listed endorsers only", "any endorser that is not revoked"))
        }
        Call::setEndorserListed(call) => {
            let (verb, place) = either(call.isListed, ("put", "on"), ("take", "off"));
            format!("{verb} endorser {} {place} the list", call.endorser)
        }
        Call::setTcbStatusTolerated(call) => {
            let (verb, status) = (either(call.isTolerated, "tolerate", "refuse"), call.status);
            format!("{verb} platforms whose TCB status is {}", name_of(&TCB_STATUSES, status.into()))
        }
        Call::setKeyLifetimeBlocksMax(call) => match call.blocksMax {
            0 => "let instances register their keys for as long as they like".to_owned(),
            blocks => format!("let instances register their keys for at most {blocks} blocks"),
        },
        Call::setRotationGraceBlocksMax(call) => {
            format!("let keys count for at most {} blocks after they were rotated", call.blocksMax)
        }
        Call::setActivationAutomatic(call) => either(
            call.isAutomatic,
            "let registrations count as soon as they are made",
            "let registrations wait until the administrators activate them",
        )
        .to_owned(),
        Call::setAcceptedVersions(call) => {
            let versions = versions(call.minimum, call.maximum);
            format!("accept containers of kind {} in {versions}", name_of(&CONTAINERS, call.container.into()))
        }
        Call::revokeProvider(call) => {
            format!("revoke provider {}, with the reason {:?}", provider(call.provider), call.reason)
        }
        Call::revokeMeasurement(call) => {
            let (measurement, reason) = (call.measurement, call.reason);
            format!(
                "revoke measurement {measurement} of provider {}, with the reason {reason:?}",
                provider(call.provider)
            )
        }
        Call::revokeEndorser(call) => {
            format!("revoke endorser {}, with the reason {:?}", call.endorser, call.reason)
        }
        Call::proposeAdmin(call) => format!("hand the policy over to {}", call.successor),
        Call::acceptAdmin(_) => "become administrator of the policy".to_owned(),
        _ => return None,
    })
}

fn of_registry(call: CryptletRegistryCalls) -> Option<String> {
    use CryptletRegistryCalls as Call;
    Some(match call {
        Call::activateInstance(call) => format!("let instance {} count", call.registrationId),
        Call::revokeInstance(call) => {
            format!("revoke instance {}, with the reason {:?}", call.registrationId, call.reason)
        }
        Call::suspendCryptlet(call) => format!("suspend cryptlet {}", call.cryptletId),
        Call::resumeCryptlet(call) => format!("let cryptlet {} be called again", call.cryptletId),
        Call::revokeCryptlet(call) => {
            format!("revoke cryptlet {} for good, with the reason {:?}", call.cryptletId, call.reason)
        }
        Call::setFactory(call) => format!("make cryptlet {} the factory of this chain", call.cryptletId),
        Call::setHostOperator(call) => {
            let (verb, rest) = either(call.isApproved, ("let", "register"), ("no longer let", "register"));
            format!("{verb} operator {} {rest} instances of any cryptlet", call.operator)
        }
        Call::proposeAdmin(call) => format!("hand the registry over to {}", call.successor),
        Call::acceptAdmin(_) => "become administrator of the registry".to_owned(),
        _ => return None,
    })
}

fn of_council(call: AdministratorsCalls) -> Option<String> {
    let AdministratorsCalls::changeMembers(call) = call else { return None };
    let list = |verb: &str, members: &[Address]| match members {
        [] => String::new(),
        members => format!("{verb} {}, ", members.iter().map(Address::to_string).collect::<Vec<_>>().join(" and ")),
    };
    let (added, removed) = (list("add", &call.added), list("remove", &call.removed));
    Some(format!("{added}{removed}and have {} administrators approve from then on", call.newThreshold))
}

/// A window of versions; a last one of zero is none.
pub(crate) fn versions(first: u32, last: u32) -> String {
    match (first, last) {
        (0, 0) => "any version".to_owned(),
        (first, 0) => format!("versions {} and later", FabricVersion(first)),
        (0, last) => format!("versions up to {}", FabricVersion(last)),
        (first, last) => format!("versions {} to {}", FabricVersion(first), FabricVersion(last)),
    }
}

fn either<T>(which: bool, yes: T, no: T) -> T {
    if which { yes } else { no }
}
