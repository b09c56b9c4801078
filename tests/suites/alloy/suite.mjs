// alloy's provider: its own tests, which start `anvil` from PATH. There it finds `launchers/anvil`.
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { anvil, cache, cryptlet, launchers, root } from '../lib/places.mjs';
import { must, read, run } from '../lib/process.mjs';
import { ofLibtest } from '../lib/results.mjs';

export const title = 'alloy (`alloy-provider`)';
export const version = '2.5.0';
export const tool = 'cargo test';
export const source = 'crates.io; pinned by the tree’s own `Cargo.lock`, its dependencies by the `Cargo.lock` it ships';
export const about = 'The unit tests of the Rust client that foundry and reth are built on. They start a node per test, by the ' +
  'name `anvil`, and speak every `anvil_` and `evm_` method alloy knows, besides sending, watching, tracing and batching.';

const home = path.join(cache, 'alloy');
const crate = path.join(home, `alloy-provider-${version}`);
const environment = { ...process.env, CARGO_TARGET_DIR: path.join(home, 'target') };
const features = 'anvil-node,debug-api,trace-api,txpool-api,net-api,admin-api,rpc-api,ws,ipc,hyper,mev-api,engine-api,' +
  'erc4337-api,throttle,ccip-read-http';
const cargo = ['test', '--locked', '--lib', '--features', features];

export async function prepare() {
  mkdirSync(home, { recursive: true });
  rmSync(crate, { recursive: true, force: true });
  cpSync(downloaded(), crate, { recursive: true });
  cpSync(path.join(crate, 'Cargo.lock'), path.join(home, 'Cargo.lock'));
  cpSync(path.join(root, 'rust-toolchain.toml'), path.join(home, 'rust-toolchain.toml'));
  // A workspace of its own, or cargo would look for it in the one around it.
  const profile = '[profile.dev]\ndebug = 0\nincremental = false\n';
  writeFileSync(path.join(home, 'Cargo.toml'), `[workspace]\nresolver = "2"\nmembers = ["${path.basename(crate)}"]\n\n${profile}`);
  await must('alloy-build.txt', 'cargo', [...cargo, '--no-run'], { cwd: crate, env: environment });
}

/** Where cargo keeps the source of the crate it downloaded and checked. */
function downloaded() {
  const metadata = execFileSync('cargo', ['metadata', '--locked', '--format-version', '1'], { cwd: root, maxBuffer: 1 << 28 });
  const found = JSON.parse(metadata).packages.find((each) => each.name === 'alloy-provider' && each.version === version);
  if (!found) throw new Error(`alloy-provider ${version} is not in Cargo.lock`);
  return path.dirname(found.manifest_path);
}

export async function test(target) {
  const bin = path.join(home, 'bin');
  rmSync(bin, { recursive: true, force: true });
  mkdirSync(bin);
  symlinkSync(target === 'anvil' ? anvil : path.join(launchers, 'anvil'), path.join(bin, 'anvil'));
  if (!existsSync(cryptlet)) throw new Error(`${cryptlet} is missing: make build`);
  const started = performance.now();
  await run(`alloy-${target}.txt`, 'cargo', [...cargo, '--', '--test-threads=2'], {
    cwd: crate, env: { ...environment, CRYPTLET: cryptlet, PATH: `${bin}:${process.env.PATH}`, RUST_BACKTRACE: '0' },
  });
  const wallSeconds = (performance.now() - started) / 1000;
  return { tests: ofLibtest(read(`alloy-${target}.txt`)), wallSeconds };
}

const INTERNET = 'calls a public node on the internet, or forks one';
const FIRST_FEE = 'counts on a base fee of exactly 1 gwei in block 1; anvil does not let the fee of its first block follow from the genesis, as EIP-1559 has it (875,000,000 wei)';

/** Why a test does not pass, by its name. */
const REASONS = new Map([
  ['ext::anvil::tests::test_anvil_deal_erc20', INTERNET],
  ['ext::anvil::tests::test_anvil_set_erc20_allowance', INTERNET],
  ['ext::anvil::tests::test_anvil_get_blob_by_versioned_hash', INTERNET],
  ['ext::anvil::tests::test_anvil_get_blobs_by_tx_hash', INTERNET],
  ['provider::r#trait::tests::call_many_mainnet', INTERNET],
  ['provider::r#trait::tests::test_connect_hyper_tls', INTERNET],
  ['provider::r#trait::tests::websocket_tls_setup', INTERNET],
  ['provider::r#trait::tests::gets_client_version', 'wants `web3_clientVersion` to name anvil; this node says who it is'],
  ['provider::r#trait::tests::capture_anvil_logs', 'reads anvil’s request log on standard output; this node logs to standard error, in its own words'],
  ['fillers::gas::tests::no_gas_price_or_limit', FIRST_FEE],
  ['ext::anvil::tests::test_anvil_set_block_gas_limit', 'sets a gas limit of 1337; Ethereum’s least is 5000, and every other node would reject the block'],
  ['ext::anvil::tests::test_anvil_set_chain_id', 'changes the chain id of a chain that exists; here it is part of the genesis, or the chain could not be replayed'],
  ['ext::anvil::tests::test_anvil_set_rpc_url', 'sets the URL of a fork on a chain that forks nothing'],
]);

export const reason = ({ name }) => REASONS.get(name);
export const skips = 'marked `#[ignore]` in their source';
