//! The dev chain's accounts and genesis, as the flags want them.

use crate::{args::NodeArgs, genesis_file};
use alloy::{
    genesis::{Genesis, GenesisAccount},
    primitives::{U256, utils::Unit},
    signers::{
        k256::elliptic_curve::rand_core::{OsRng, SeedableRng},
        local::{
            PrivateKeySigner,
            coins_bip39::{English, Mnemonic},
        },
    },
};
use anyhow::{Context, Result, ensure};
use cryptlet_node::chain_spec::{
    CODE_BYTES_MAX_MAX, FABRIC_SETTING, KeyFolder, dev_accounts, dev_genesis_at, dev_operator, limit_code,
    remove_fabric,
};
use cryptlet_primitives::FabricLimits;
use rand_chacha::ChaCha12Rng;
use std::path::Path;

/// Where the dev accounts of every development node are.
pub(crate) const DERIVATION_PATH: &str = "m/44'/60'/0'/0/";

/// The highest gas limit that a header may have.
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;

/// The keys of a dev chain. They are public: they guard nothing.
pub(crate) struct Accounts {
    /// Where the funded ones come from.
    pub(crate) mnemonic: String,
    /// Funded, printed, unlocked.
    pub(crate) funded: Vec<PrivateKeySigner>,
    /// Deploys and registers, so that the others start at nonce 0.
    pub(crate) operator: PrivateKeySigner,
}

impl Accounts {
    pub(crate) fn derive(args: &NodeArgs) -> Result<Self> {
        let mnemonic = match (args.mnemonic_random, args.mnemonic_seed_unsafe) {
            (Some(words), _) => Mnemonic::<English>::new_with_count(&mut OsRng, words)?.to_phrase(),
            (None, Some(seed)) => Mnemonic::<English>::new(&mut ChaCha12Rng::seed_from_u64(seed)).to_phrase(),
            (None, None) => args.mnemonic.clone(),
        };
        let folder = KeyFolder::open(&mnemonic, args.derivation_path.trim_end_matches('/'));
        let folder = folder.context("--mnemonic and --derivation-path give no keys")?;
        let funded = (0..args.accounts).map(|index| folder.key(index)).collect::<Result<_, _>>()?;
        Ok(Self { mnemonic, funded, operator: dev_operator() })
    }
}

/// Genesis of the dev chain with the chain id, accounts and limits that the flags ask for.
pub(crate) fn genesis(args: &NodeArgs, accounts: &Accounts) -> Result<Genesis> {
    let mut genesis = match &args.init {
        Some(file) => read_ordinary(file)?,
        None => of_flags(args),
    };
    genesis.config.chain_id = args.chain_id.unwrap_or(genesis.config.chain_id);
    genesis.number = args.number.or(genesis.number);
    genesis.gas_limit = args.gas_limit.unwrap_or(genesis.gas_limit);
    if args.disable_block_gas_limit {
        genesis.gas_limit = GAS_LIMIT_MAX;
    }
    let code_bytes_max = args.code_size_limit.or(args.disable_code_size_limit.then_some(CODE_BYTES_MAX_MAX));
    if let Some(bytes_max) = code_bytes_max {
        limit_code(&mut genesis, bytes_max);
    }
    genesis.base_fee_per_gas = args.base_fee.map(u128::from).or(genesis.base_fee_per_gas);
    genesis.timestamp = args.timestamp.unwrap_or(genesis.timestamp);
    let balance = U256::from(args.balance) * Unit::ETHER.wei();
    let funded = accounts.funded.iter().map(|key| (key.address(), GenesisAccount::default().with_balance(balance)));
    genesis.alloc.extend(funded);
    if args.no_fabric || args.init.is_some() {
        return Ok(genesis);
    }
    // With many accounts the operator is one of them; it needs its own ether in any case.
    let operator = GenesisAccount::default().with_balance(balance.max(Unit::ETHER.wei() * U256::from(10_000)));
    genesis.alloc.insert(accounts.operator.address(), operator);
    Ok(genesis)
}

/// The dev chain as it is made here, without accounts of people.
fn of_flags(args: &NodeArgs) -> Genesis {
    let mut limits = FabricLimits::default();
    if let Some(blocks) = args.unavailable_after_blocks {
        limits.unavailable_after_blocks = blocks;
    }
    let mut genesis = dev_genesis_at(&limits, args.hardfork);
    if args.no_fabric {
        remove_fabric(&mut genesis);
    }
    for account in dev_accounts().into_iter().chain([dev_operator()]) {
        genesis.alloc.remove(&account.address());
    }
    genesis
}

/// A dev chain's own operator sets up the fabric; on another chain it has no say.
fn read_ordinary(file: &Path) -> Result<Genesis> {
    let genesis = genesis_file::read(file)?;
    ensure!(
        !genesis.config.extra_fields.contains_key(FABRIC_SETTING),
        "{} turns cryptlets on (config.{FABRIC_SETTING}): start that chain with --genesis, without --dev",
        file.display()
    );
    Ok(genesis)
}
