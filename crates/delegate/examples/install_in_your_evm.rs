//! A cryptlet behind any revm EVM, with no node and no host: the answer is computed and signed in this file.
use alloy_evm::{Evm, EvmEnv};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_sol_types::{SolCall, SolValue};
use cryptlet_attestation::{signature::result_digest, *};
use cryptlet_delegate::{registry_layout::storage, *};
use cryptlet_primitives::{abi::ICryptoDelegate::invokeCall, system::*, *};
use k256::ecdsa::SigningKey;
use revm::database::{CacheDB, EmptyDB, State};
use revm::{bytecode::Bytecode, context::TxEnv, primitives::TxKind, primitives::hardfork::SpecId, state::AccountInfo};
use std::{error::Error, sync::Arc};

#[rustfmt::skip]
#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    // The chain: the delegate's account, a cryptlet with one instance in the registry, and a policy that accepts it.
    let key = SigningKey::from_slice(&[7; 32])?;
    let (id, instance, code_digest) = (CryptletId(B256::with_last_byte(1)), RegistrationId(B256::with_last_byte(2)), CodeDigest::default());
    let cryptlet = CryptletEntry { id, code_digest, status: CryptletStatus::Active, bound_contract: None, units_max: 1_000,
        output_bytes_max: 64, key_epoch: 1, previous_epoch: 0, previous_epoch_until: 0, isolation: 0, active_instances: 1, simulation: SimulationPolicy::Live };
    let signs = InstanceEntry { id: instance, status: InstanceStatus::Active, cryptlet: id, code_digest, key_epoch: 1, not_after_block: 99,
        signer: Address::from_public_key(key.verifying_key()), provider: 1, isolation: 0,
        measurement: B256::ZERO, endorser: None, measurement_listing: Listing::None, endorser_listing: Listing::None,
        container: 1, version: FabricVersion(1), accepted_versions: AcceptedVersions::default() };
    let policy = PolicyEntry { version: 1, accepted_providers: 0b10, minimum_isolation: 0, ..PolicyEntry::default() };
    let mut db = CacheDB::new(EmptyDB::new());
    db.insert_account_info(CRYPTO_DELEGATE, AccountInfo::from_bytecode(Bytecode::new_raw(Bytes::from_static(&[0xfe]))).with_nonce(1));
    let registry = storage::of_cryptlet(&cryptlet).into_iter().chain(storage::of_instance(&signs));
    registry.for_each(|(slot, word)| db.insert_account_storage(CRYPTLET_REGISTRY, slot, word).expect("in memory"));
    storage::of_policy(&policy).into_iter().for_each(|(slot, word)| db.insert_account_storage(CRYPTLET_POLICY, slot, word).expect("in memory"));

    // The EVM of block 1, with the delegate installed.
    let domain = FabricDomain { chain_id: 1, genesis_hash: B256::ZERO };
    let parent = Anchor { number: 0, hash: B256::ZERO };
    let scope = DelegateScope { domain, limits: FabricLimits::default(), parent, state: Arc::new(DatabaseParent(db.clone())) };
    let mut env: EvmEnv = EvmEnv::default();
    (env.cfg_env.spec, env.block_env.number) = (SpecId::PRAGUE, U256::ONE);
    let mut evm = DelegateEvm::new(State::builder().with_database(db).build(), env, DelegateContext::new(scope));

    // The transaction: someone calls the cryptlet. It runs, waits, is answered, and runs again.
    let data = invokeCall { cryptlet: id.0, input: Bytes::from_static(b"gnirts a") }.abi_encode();
    let tx = TxEnv::builder().kind(TxKind::Call(CRYPTO_DELEGATE)).data(data.into()).gas_limit(100_000).gas_price(0).build().expect("complete");
    let cryptlet = |call: &Invocation| {
        let output: Bytes = call.input.iter().rev().copied().collect::<Vec<u8>>().into();
        let result = CryptletResult { requestHash: call.request_hash(), registrationId: instance.0, keyEpoch: 1, status: ResultStatus::Ok as u8,
            outputHash: keccak256(&output), units: 10, observedAt: 0, notBefore: 0, expires: 10 };
        let (signature, parity) = key.sign_prehash_recoverable(result_digest(&result, &domain).as_slice())?;
        let signature = Signature::from((signature, parity)).into();
        Ok::<_, k256::ecdsa::Error>(RecoveredRecord::recover(Record::answered(call, FabricAnswer { result, output, signature }), &domain))
    };
    let built = build_to_end(&mut evm, keccak256("tx"), &mut Transcript::new(), |evm| evm.transact_raw(tx.clone()), cryptlet)?;
    let output = Bytes::abi_decode(built.executed.value.result.output().ok_or("no output")?)?;
    println!("{} ({} runs, {} gas)", String::from_utf8(output.to_vec())?, built.runs, built.executed.value.result.tx_gas_used());
    Ok(())
}
