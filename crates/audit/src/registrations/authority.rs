//! Who signed a registration: its own key, whoever answers for it, and whoever answers for its cryptlet.

use super::history::{History, Publication, Registration};
use alloy_primitives::Address;
use cryptlet_attestation::{
    SignatureFault, recover,
    signature::{authorization_digest, keys_digest, recover_struct},
};
use cryptlet_primitives::{FabricDomain, InstanceAuthorization, Signature65, abi::Authorization};

/// Everybody who has to have signed has.
pub(super) fn require_signatures(item: &Registration, history: &History, domain: &FabricDomain) -> Result<(), String> {
    require_keys(item, domain)?;
    require_authority(item, history, domain)
}

/// The registration's id is the hash of its keys, and its own key signed them.
fn require_keys(item: &Registration, domain: &FabricDomain) -> Result<(), String> {
    let created = &item.created;
    let keys = created.keys();
    let hash = keys.registration_id().0;
    if hash != item.id {
        return Err(format!("its keys hash to {hash}, not to its id"));
    }
    let signature = signature_of(&created.keysSignature, "of its keys")?;
    let signer = recover(keys_digest(&keys, domain), &signature).map_err(|fault| fault.to_string())?;
    if signer != created.signer {
        return Err(format!("its keys were signed by {signer}, not by {}", created.signer));
    }
    Ok(())
}

/// Whoever answers for the registration signed it, and whoever answers for its cryptlet signed that. What has code speaks by sending,
/// which re-executing the block has shown.
fn require_authority(item: &Registration, history: &History, domain: &FabricDomain) -> Result<(), String> {
    if let Some(authority) = &item.authority {
        let asked = InstanceAuthorization {
            registrationId: item.id,
            previous: authority.previous,
            graceBlocks: authority.grace_blocks,
            deadlineBlock: authority.authorization.deadlineBlock,
        };
        let signer = |signature: &Signature65| recover(authorization_digest(&asked, domain), signature);
        require_signed(&authority.authorization, item.block, "its registration", signer)?;
    }
    let cryptlet = history.cryptlets.get(&item.created.cryptletId);
    let Some(publication) = cryptlet.and_then(|life| life.publication.as_ref()) else { return Ok(()) };
    let Publication { block, registration_hash, authorization, identity_signature } = publication;
    let signer = |signature: &Signature65| recover_struct(&domain.registry(), *registration_hash, signature);
    require_signed(authorization, *block, "its cryptlet's registration", signer)?;
    // Which key that has to be is in the registry's state, which re-executing the block has shown.
    let identity = signature_of(identity_signature, "of its cryptlet's identity key")?;
    signer(&identity).map(drop).map_err(|fault| format!("its cryptlet's identity key: {fault}"))
}

fn require_signed(
    authorization: &Authorization,
    block: u64,
    what: &str,
    signer: impl FnOnce(&Signature65) -> Result<Address, SignatureFault>,
) -> Result<(), String> {
    let Authorization { registrar, deadlineBlock: deadline, signature } = authorization;
    if block > *deadline {
        return Err(format!("{what} was authorized until block {deadline} and made in block {block}"));
    }
    if signature.is_empty() {
        return Ok(());
    }
    let found = signer(&signature_of(signature, "of its registrar")?).map_err(|fault| fault.to_string())?;
    if found != *registrar {
        return Err(format!("{what} was signed by {found}, not by {registrar}"));
    }
    Ok(())
}

fn signature_of(bytes: &[u8], what: &str) -> Result<Signature65, String> {
    bytes.try_into().map(Signature65).map_err(|_| format!("the signature {what} has {} bytes", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrations::history::Authority;
    use alloy::signers::{SignerSync, local::PrivateKeySigner};
    use alloy_primitives::{B256, Bytes};
    use alloy_sol_types::SolStruct;
    use cryptlet_attestation::{ToleratedTcb, signature::utility_digest};
    use cryptlet_primitives::{InstanceKeys, abi::CreatedInstance, typed_data::UtilityRegistration};

    const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x6e) };

    fn key(byte: u8) -> PrivateKeySigner {
        B256::repeat_byte(byte).to_string().parse().expect("a key")
    }

    fn sign(byte: u8, digest: B256) -> Signature65 {
        key(byte).sign_hash_sync(&digest).expect("a key signs any hash").into()
    }

    fn authorized(byte: u8, deadline: u64, digest: B256) -> Authorization {
        let signature = Bytes::copy_from_slice(sign(byte, digest).0.as_slice());
        Authorization { registrar: key(byte).address(), deadlineBlock: deadline, signature }
    }

    /// An instance with key 1, registered in block 9 by key 2, of a cryptlet of key 3.
    fn honest() -> (Registration, History) {
        let keys = InstanceKeys {
            cryptletId: B256::repeat_byte(7),
            codeDigest: B256::ZERO,
            manifestDigest: B256::ZERO,
            signer: key(1).address(),
            hpkeKey: B256::ZERO,
            keyEpoch: 1,
            anchorBlock: 1,
            anchorHash: B256::ZERO,
            notAfterBlock: 99,
            container: 1,
            version: 1,
        };
        let id = keys.registration_id().0;
        let asked =
            InstanceAuthorization { registrationId: id, previous: B256::ZERO, graceBlocks: 5, deadlineBlock: 10 };
        let authority = Authority {
            previous: B256::ZERO,
            grace_blocks: 5,
            authorization: authorized(2, 10, authorization_digest(&asked, &DOMAIN)),
        };
        let item = Registration {
            id,
            created: CreatedInstance::new(&keys, sign(1, keys_digest(&keys, &DOMAIN)), Bytes::new(), Bytes::new()),
            block: 9,
            timestamp: 0,
            tolerated_tcb: ToleratedTcb::default(),
            authority: Some(authority),
            activated_block: None,
            records: 0,
            ended: None,
        };
        let said = UtilityRegistration {
            publisher: key(3).address(),
            name: "tools".to_owned(),
            codeDigest: B256::ZERO,
            manifestDigest: B256::ZERO,
            headerDigest: B256::ZERO,
            configDigest: B256::ZERO,
            identityKey: key(4).address(),
            isolation: 1,
            minimumInstances: 1,
            maximumInstances: 1,
            unitsMax: 1,
            outputBytesMax: 1,
            simulationPolicy: 0,
            simulationStub: Bytes::new(),
            deadlineBlock: 8,
        };
        let digest = utility_digest(&said, &DOMAIN);
        let publication = Publication {
            block: 7,
            registration_hash: said.eip712_hash_struct(),
            authorization: authorized(3, 8, digest),
            identity_signature: Bytes::copy_from_slice(sign(4, digest).0.as_slice()),
        };
        let mut history = History::default();
        history.cryptlets.entry(keys.cryptletId).or_default().publication = Some(publication);
        (item, history)
    }

    #[test]
    fn what_everybody_signed_holds() {
        let (mut item, mut history) = honest();
        assert_eq!(require_signatures(&item, &history, &DOMAIN), Ok(()));
        // A contract registers its own cryptlet by calling.
        item.authority = None;
        history.cryptlets.clear();
        assert_eq!(require_signatures(&item, &history, &DOMAIN), Ok(()));
    }

    #[test]
    fn what_somebody_did_not_sign_is_told_with_the_culprit() {
        type Change = fn(&mut Registration, &mut Publication);
        let changes: [(Change, &str); 11] = [
            (|item, _| item.created.notAfterBlock += 1, "its keys hash to"),
            (|item, _| item.created.keysSignature = Bytes::from_static(&[1; 64]), "signature of its keys has 64 bytes"),
            (|item, _| item.created.keysSignature = sign(2, B256::ZERO).0.to_vec().into(), "its keys were signed by"),
            (|item, _| authority(item).grace_blocks = 6, "its registration was signed by"),
            (|item, _| authority(item).previous = B256::repeat_byte(1), "its registration was signed by"),
            (|item, _| authority(item).authorization.registrar = key(9).address(), "its registration was signed by"),
            (|item, _| item.block = 11, "its registration was authorized until block 10 and made in block 11"),
            (|_, said| said.registration_hash = B256::ZERO, "its cryptlet's registration was signed by"),
            (|_, said| said.authorization.registrar = key(9).address(), "its cryptlet's registration was signed by"),
            (|_, said| said.block = 9, "its cryptlet's registration was authorized until block 8 and made in block 9"),
            (
                |_, said| said.identity_signature = vec![0; 65].into(),
                "its cryptlet's identity key: there is no signature",
            ),
        ];
        for (change, expected) in changes {
            let (mut item, mut history) = honest();
            let life = history.cryptlets.values_mut().next().expect("one cryptlet");
            change(&mut item, life.publication.as_mut().expect("it was published"));
            let why = require_signatures(&item, &history, &DOMAIN).expect_err(expected);
            assert!(why.contains(expected), "{why}");
        }
    }

    fn authority(item: &mut Registration) -> &mut Authority {
        item.authority.as_mut().expect("it was authorized")
    }
}
