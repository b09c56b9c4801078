//! Role `Sign`: holds instance keys. It parses five small messages and never sees an input, an output or a guest.

use super::ChildError;
use crate::{
    keyring::{Keyring, KeyringRefusal},
    wire::{Channel, FromSigner, ToSigner},
};

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 1024;

pub(super) fn serve(mut channel: Channel) -> Result<(), ChildError> {
    let mut ring = Keyring::default();
    loop {
        let request = channel.receive(REQUEST_BYTES_MAX, None)?;
        let answer = answer(&mut ring, request).unwrap_or_else(|refusal| FromSigner::Refused(refusal.to_string()));
        channel.send(&answer)?;
    }
}

fn answer(ring: &mut Keyring, request: ToSigner) -> Result<FromSigner, KeyringRefusal> {
    match request {
        ToSigner::Create(terms) => {
            ring.create(&terms).map(|(key, keys, signature)| FromSigner::Created { key, keys, signature })
        }
        ToSigner::Renew { key, terms } => {
            ring.renew(key, &terms).map(|(keys, signature)| FromSigner::Renewed { keys, signature })
        }
        ToSigner::Sign { key, result, mode } => ring.sign_result(key, &result, mode).map(FromSigner::Signed),
        ToSigner::Agree { key, peer, context } => ring.agree(key, peer, context).map(FromSigner::Secret),
        ToSigner::Forget(key) => {
            ring.forget(key);
            Ok(FromSigner::Forgotten)
        }
    }
}
