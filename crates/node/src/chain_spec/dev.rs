//! The chain of `cryptlet node --dev`.

use super::genesis::{CODE_SIZE_SETTING, DEV_EDITS_SETTING, FABRIC_SETTING};
use super::system_contracts::{InitialPolicy, SystemContracts, delegate_account};
use super::wallet::KeyFolder;
use alloy::genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy::signers::local::PrivateKeySigner;
use alloy_hardforks::EthereumHardfork;
use alloy_primitives::{U256, utils::parse_ether};
use cryptlet_primitives::{FabricLimits, system::CRYPTO_DELEGATE};
use std::sync::LazyLock;

/// Chain id of the dev chain, the one development tools expect.
pub const DEV_CHAIN_ID: u64 = 31_337;

/// The well-known test mnemonic. Its keys are public: they guard nothing.
pub const DEV_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Where the accounts of every development node are.
pub const DEV_KEY_FOLDER: &str = "m/44'/60'/0'/0";

/// Accounts that are funded for people; the operator's comes behind them.
pub const DEV_ACCOUNTS: u32 = 10;

static DEV_KEYS: LazyLock<Vec<PrivateKeySigner>> = LazyLock::new(|| {
    let keys = KeyFolder::open(DEV_MNEMONIC, DEV_KEY_FOLDER);
    let keys = keys.and_then(|folder| (0..=DEV_ACCOUNTS).map(|index| folder.key(index)).collect());
    keys.expect("the test mnemonic is valid and its indices are small")
});

const DEV_BALANCE_ETHER: &str = "10000";
const DEV_GAS_LIMIT: u64 = 30_000_000;

/// The ten funded accounts, in the order of their derivation path.
pub fn dev_accounts() -> Vec<PrivateKeySigner> {
    DEV_KEYS[..DEV_ACCOUNTS as usize].to_vec()
}

/// Who deploys and registers on the dev chain, so that the ten accounts start at nonce 0.
pub fn dev_operator() -> PrivateKeySigner {
    DEV_KEYS[DEV_ACCOUNTS as usize].clone()
}

/// Genesis of the dev chain: Prague from the first block on, a delegate with these limits, funded accounts.
pub fn dev_genesis(limits: &FabricLimits) -> Genesis {
    let mut genesis =
        Genesis { config: dev_config(limits), gas_limit: DEV_GAS_LIMIT, difficulty: U256::ZERO, ..Default::default() };
    let balance: U256 = parse_ether(DEV_BALANCE_ETHER).expect("the dev balance is a number");
    let funded = dev_accounts().into_iter().chain([dev_operator()]);
    genesis.alloc.extend(funded.map(|key| (key.address(), GenesisAccount::default().with_balance(balance))));
    genesis.alloc.insert(CRYPTO_DELEGATE, delegate_account(limits));
    genesis.alloc.extend(SystemContracts::of_ethereum().accounts);
    let contracts = SystemContracts::of_fabric(dev_operator().address(), InitialPolicy::DEVELOPMENT);
    genesis.alloc.extend(contracts.accounts);
    genesis
}

/// The dev chain under the rules of an older or newer fork, from its first block on. The delegate needs Prague (EIP-7685) and
/// is there from Prague on; before the merge, blocks have the difficulty that the rules give and nobody's seal.
pub fn dev_genesis_at(limits: &FabricLimits, fork: EthereumHardfork) -> Genesis {
    let mut genesis = dev_genesis(limits);
    let config = &mut genesis.config;
    let only = |field: &mut Option<u64>, since: EthereumHardfork| {
        if fork < since {
            *field = None;
        }
    };
    use EthereumHardfork as Fork;
    only(&mut config.homestead_block, Fork::Homestead);
    only(&mut config.eip150_block, Fork::Tangerine);
    only(&mut config.eip155_block, Fork::SpuriousDragon);
    only(&mut config.eip158_block, Fork::SpuriousDragon);
    only(&mut config.byzantium_block, Fork::Byzantium);
    // One without the other has no rules (EIP-1283 was withdrawn).
    only(&mut config.constantinople_block, Fork::Constantinople);
    only(&mut config.petersburg_block, Fork::Constantinople);
    only(&mut config.istanbul_block, Fork::Istanbul);
    only(&mut config.muir_glacier_block, Fork::MuirGlacier);
    only(&mut config.berlin_block, Fork::Berlin);
    only(&mut config.london_block, Fork::London);
    only(&mut config.arrow_glacier_block, Fork::ArrowGlacier);
    only(&mut config.gray_glacier_block, Fork::GrayGlacier);
    only(&mut config.merge_netsplit_block, Fork::Paris);
    only(&mut config.shanghai_time, Fork::Shanghai);
    only(&mut config.cancun_time, Fork::Cancun);
    only(&mut config.prague_time, Fork::Prague);
    config.osaka_time = (fork >= Fork::Osaka).then_some(0);
    config.amsterdam_time = (fork >= Fork::Amsterdam).then_some(0);
    if fork < Fork::Paris {
        (config.terminal_total_difficulty, config.terminal_total_difficulty_passed) = (None, false);
        genesis.difficulty = U256::from(crate::execute::DIFFICULTY_MIN);
    }
    if fork >= Fork::Amsterdam {
        genesis.alloc.extend(SystemContracts::of_amsterdam().accounts);
    }
    if fork < Fork::Prague {
        remove_fabric(&mut genesis);
        let of_prague = SystemContracts::of_ethereum()
            .accounts
            .into_keys()
            .filter(|address| fork < Fork::Cancun || *address != alloy::eips::eip4788::BEACON_ROOTS_ADDRESS);
        for address in of_prague {
            genesis.alloc.remove(&address);
        }
    }
    genesis
}

/// Takes the delegate and the fabric's contracts out of a dev chain: what is left is an ordinary Ethereum chain.
pub fn remove_fabric(genesis: &mut Genesis) {
    genesis.config.extra_fields.remove(FABRIC_SETTING);
    genesis.alloc.remove(&CRYPTO_DELEGATE);
    for address in SystemContracts::of_fabric(dev_operator().address(), InitialPolicy::DEVELOPMENT).accounts.into_keys()
    {
        genesis.alloc.remove(&address);
    }
}

/// Lets contracts have this many bytes of code, instead of EIP-170's 24,576. Whoever replays the chain reads it in its genesis.
pub fn limit_code(genesis: &mut Genesis, bytes_max: u32) {
    let set = genesis.config.extra_fields.insert_value(CODE_SIZE_SETTING.to_owned(), bytes_max);
    set.expect("JSON can hold a number");
}

fn dev_config(limits: &FabricLimits) -> ChainConfig {
    let mut config = ChainConfig {
        chain_id: DEV_CHAIN_ID,
        homestead_block: Some(0),
        eip150_block: Some(0),
        eip155_block: Some(0),
        eip158_block: Some(0),
        byzantium_block: Some(0),
        constantinople_block: Some(0),
        petersburg_block: Some(0),
        istanbul_block: Some(0),
        muir_glacier_block: Some(0),
        berlin_block: Some(0),
        london_block: Some(0),
        arrow_glacier_block: Some(0),
        gray_glacier_block: Some(0),
        merge_netsplit_block: Some(0),
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        ..Default::default()
    };
    config
        .extra_fields
        .insert_value(FABRIC_SETTING.to_owned(), limits)
        .expect("limits are plain numbers, which JSON can hold");
    config.extra_fields.insert_value(DEV_EDITS_SETTING.to_owned(), true).expect("JSON can hold a truth value");
    config
}
