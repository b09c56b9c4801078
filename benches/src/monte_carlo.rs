//! The reason to leave the EVM, in numbers: one option, the same paths, priced in a cryptlet and in Solidity.

use crate::{
    stats::{grouped, median, median_s},
    table::{Section, progress},
    testbed::{Call, Testbed, creation_code},
};
use alloy::{
    primitives::{Address, Bytes, TxKind, U256, uint},
    sol,
    sol_types::{SolCall, SolValue},
};
use alloy_evm::{EthEvmFactory, Evm, EvmEnv, EvmFactory};
use anyhow::{Context, Result, anyhow, ensure};
use cryptlet_node::chain_spec::dev_genesis;
use cryptlet_primitives::FabricLimits;
use revm::{
    bytecode::Bytecode,
    context::TxEnv,
    context_interface::result::ExecutionResult,
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use std::time::Instant;

sol! {
    function price(uint256 spot, uint256 strike, uint256 rate, uint256 volatility, uint256 yearsWad, uint32 paths, uint64 seed)
        external returns (uint256 callPrice, uint256 standardError);
}

const PATHS: [u32; 4] = [100, 1_000, 10_000, 100_000];
const REPETITIONS: usize = 7;
const PRICER: Address = Address::repeat_byte(0x21);
/// More than any of these prices takes in Solidity.
const UNBOUNDED_GAS: u64 = 1 << 40;
const WAD: U256 = uint!(1_000_000_000_000_000_000_U256);

/// The section.
pub(crate) async fn run() -> Result<Vec<Section>> {
    progress("monte-carlo: starting node, host and workers");
    let mut testbed = Testbed::start(0).await?;
    let cryptlet = testbed.register("monte-carlo").await?;
    let arguments = (cryptlet.id.0, Address::ZERO, Address::ZERO).abi_encode_params();
    let in_cryptlet = testbed.deploy([creation_code("OptionPricer")?, arguments.into()].concat().into()).await?;
    let in_solidity = testbed.deploy(creation_code("OptionPricerSolidity")?).await?;
    let block_gas = dev_genesis(&FabricLimits::default()).gas_limit;
    let evm = PlainEvm::new()?;

    let columns = [
        "paths",
        "gas, cryptlet",
        "gas, Solidity",
        "gas ratio",
        "ms, cryptlet",
        "ms, Solidity (EVM alone)",
        "ms, Solidity transaction",
    ];
    let mut section = Section::new("Monte Carlo: an option priced outside the EVM and inside", &columns).how(format!(
        "The example `monte-carlo`: the same algorithm, the same seed and paths, in a cryptlet (`OptionPricer`) and in Solidity \
         (`OptionPricerSolidity`). *ms, cryptlet* is a whole transaction on a node with a host: submission, container, signature, \
         two runs, block, RocksDB. *EVM alone* is revm in memory without any gas limit. Wall time, median of {REPETITIONS}.",
    ));
    for paths in PATHS {
        progress(&format!("monte-carlo: {paths} paths"));
        let declared = cryptlet.package.config().units_max.unwrap_or_default();
        let (gas, cryptlet_s) = transactions(&mut testbed, in_cryptlet, paths, declared + 300_000).await?;
        let gas = gas.context("the cryptlet's price failed")?;
        let (solidity_gas, solidity_s) = evm.price(paths)?;
        let whole_s = match solidity_gas < block_gas {
            true => transactions(&mut testbed, in_solidity, paths, block_gas).await?.1.into(),
            false => None,
        };
        section.row(&[
            grouped(paths.into()),
            grouped(gas as i64),
            grouped(solidity_gas as i64),
            format!("{:.0}x", solidity_gas as f64 / gas as f64),
            ms(cryptlet_s),
            ms(solidity_s),
            whole_s.map_or_else(|| "does not fit".to_owned(), ms),
        ]);
    }
    testbed.node.stop().await;
    let most = evm.most_paths_within(block_gas)?;
    Ok(vec![section.finding(format!(
        "In Solidity {} paths are the most that a block of {} gas holds, with nothing else in it. In the cryptlet the gas hardly grows: \
         a path costs a fraction of a compute unit (1,000 instructions, 1 gas).",
        grouped(most.into()),
        grouped(block_gas as i64)
    ))])
}

fn ms(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}

fn price_call(paths: u32, seed: u64) -> Bytes {
    let (spot, strike) = (U256::from(100) * WAD, U256::from(105) * WAD);
    let (rate, volatility) = (WAD / U256::from(20), WAD / U256::from(5));
    priceCall { spot, strike, rate, volatility, yearsWad: WAD, paths, seed }.abi_encode().into()
}

/// Gas of such a transaction, `None` if it failed, and median seconds from submission until it is in a block.
async fn transactions(testbed: &mut Testbed, to: Address, paths: u32, gas_limit: u64) -> Result<(Option<u64>, f64)> {
    let (mut gas, mut seconds) = (None, Vec::new());
    for seed in 1..=REPETITIONS as u64 {
        let call = Call { to, data: price_call(paths, seed), gas_limit, value: U256::ZERO };
        let since = Instant::now();
        let outcome = testbed.transact(call).await?;
        seconds.push(since.elapsed().as_secs_f64());
        gas = outcome.succeeded.then_some(outcome.gas_used);
    }
    Ok((gas, median(seconds)))
}

/// `OptionPricerSolidity` in an EVM without a node and without a gas limit.
struct PlainEvm {
    db: CacheDB<EmptyDB>,
}

impl PlainEvm {
    fn new() -> Result<Self> {
        let create = TxEnv::builder().kind(TxKind::Create).data(creation_code("OptionPricerSolidity")?);
        let mut plain = Self { db: CacheDB::new(EmptyDB::new()) };
        let result = plain.run(create.gas_limit(10_000_000))?;
        let runtime = result.output().context("the pricer cannot be deployed")?.clone();
        let info = AccountInfo::from_bytecode(Bytecode::new_raw(runtime)).with_nonce(1);
        plain.db.insert_account_info(PRICER, info);
        Ok(plain)
    }

    fn run(&self, transaction: revm::context::tx::TxEnvBuilder) -> Result<ExecutionResult> {
        let transaction = transaction.gas_price(0).build().map_err(|error| anyhow!("{error:?}"))?;
        let mut env: EvmEnv = EvmEnv::default();
        env.cfg_env.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
        env.block_env.gas_limit = UNBOUNDED_GAS;
        let mut evm = EthEvmFactory::default().create_evm(self.db.clone(), env);
        Ok(evm.transact_raw(transaction)?.result)
    }

    fn call(&self, paths: u32, gas_limit: u64) -> Result<ExecutionResult> {
        self.run(TxEnv::builder().kind(TxKind::Call(PRICER)).data(price_call(paths, 1)).gas_limit(gas_limit))
    }

    /// Gas and median seconds.
    fn price(&self, paths: u32) -> Result<(u64, f64)> {
        let result = self.call(paths, UNBOUNDED_GAS)?;
        ensure!(result.is_success(), "Solidity cannot price {paths} paths: {result:?}");
        let seconds = median_s(REPETITIONS, || drop(self.call(paths, UNBOUNDED_GAS)));
        Ok((result.tx_gas_used(), seconds))
    }

    fn most_paths_within(&self, gas_limit: u64) -> Result<u32> {
        let (mut fits, mut too_many) = (2, 1 << 20);
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            match self.call(middle, gas_limit)?.is_success() {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        Ok(fits)
    }
}
