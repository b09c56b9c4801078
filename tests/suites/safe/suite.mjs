// Safe's contracts: 278 tests in TypeScript, run by Hardhat with waffle and ethers 5.
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { cache, suites } from '../lib/places.mjs';
import { must, run, startNode } from '../lib/process.mjs';
import { ofMocha } from '../lib/results.mjs';

export const title = 'Safe contracts (`@safe-global/safe-contracts`)';
export const version = '1.4.1';
export const tool = 'Hardhat 2.12.7, waffle 3.3.0, ethers 5.4.0, hardhat-deploy';
export const source = 'npm; pinned by `tests/suites/safe/package-lock.json`';
export const about = 'Safe’s own tests of its multi-signature wallet, with the node in place of the one Hardhat embeds: ' +
  'deployments by a deterministic factory, `evm_snapshot` and `evm_revert` between tests, reverts by their reason.';

const here = path.join(suites, 'safe');
const home = path.join(cache, 'safe');
const project = path.join(home, 'project');
const environment = { ...process.env, TS_NODE_TRANSPILE_ONLY: '1', HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true' };
const hardhat = ['--no-install', 'hardhat'];

export async function prepare() {
  for (const name of ['package.json', 'package-lock.json']) cpSync(path.join(here, name), path.join(home, name));
  if (!existsSync(path.join(home, 'node_modules/.package-lock.json'))) {
    const flags = ['--no-fund', '--no-audit', '--ignore-scripts', '--legacy-peer-deps', '--loglevel=error'];
    await must('safe-install.txt', 'npm', ['ci', ...flags], { cwd: home });
  }
  rmSync(project, { recursive: true, force: true });
  cpSync(path.join(home, 'node_modules/@safe-global/safe-contracts'), project, { recursive: true });
  rmSync(path.join(project, 'build'), { recursive: true }); // compiled by its authors; the suite compiles its own
  for (const name of ['hardhat.config.ts', 'tsconfig.json']) cpSync(path.join(here, name), path.join(project, name));
  await must('safe-compile.txt', 'npx', [...hardhat, 'compile'], { cwd: project, env: { ...environment, NODE_URL: 'http://127.0.0.1:1' } });
}

export async function test(target) {
  // The suite is older than Cancun, which changed what SELFDESTRUCT leaves behind.
  const node = await startNode(target, { hardfork: 'shanghai' });
  const report = path.join(cache, `safe-${target}.json`);
  const started = performance.now();
  await run(`safe-${target}.txt`, 'npx', [...hardhat, 'test', '--no-compile'], {
    cwd: project, env: { ...environment, NODE_URL: node.url, REPORT: report },
  });
  const wallSeconds = (performance.now() - started) / 1000;
  const cpuSeconds = node.cpuSeconds();
  await node.stop();
  return { tests: ofMocha(JSON.parse(readFileSync(report, 'utf8'))), wallSeconds, cpuSeconds };
}

const WORDS = 'wants words that Hardhat’s embedded node infers from the contract’s source; no node outside Hardhat has it';
const NESTED = 'the answer carries the reason, but ethers 5.4 wraps the error of a `Wallet` twice and waffle 3.3 unwraps it once';
const MINED = 'gives a gas limit and wants the send itself to fail; only Hardhat’s embedded node answers a transaction that was mined and failed with an error';

/** Why a test does not pass, by its full title. */
const REASONS = new Map([
  ['Safe execTransaction should revert if too little gas is provided', MINED],
  ['Safe setup should fail if ether payment fails', MINED],
  ['Safe fallback should throw for incoming eth with data', WORDS],
  ['ModuleManager execTransactionFromModule can only be called from enabled module', NESTED],
  ['ModuleManager execTransactionFromModuleReturnData can only be called from enabled module', NESTED],
  ['Safe approveHash approving should only be allowed for owners', NESTED],
  ['Safe execTransaction if not msg.sender on-chain approval is required', NESTED],
  ['ProxyFactory createProxyWithNonce should revert with invalid initializer', WORDS],
  ['ProxyFactory createChainSpecificProxyWithNonce should revert with invalid initializer', WORDS],
  ['CompatibilityFallbackHandler isValidSignature(bytes,bytes) should revert if called directly', WORDS],
  ['CompatibilityFallbackHandler isValidSignature(bytes32,bytes) should revert if called directly', WORDS],
  ['Migration constructor can not use 0 Address', NESTED],
  ['SignMessageLib signMessage changes the expected storage slot without touching the most important ones', WORDS],
]);

export const reason = ({ name }) => REASONS.get(name);
export const skips = 'marked as pending in their source, or in need of a live ERC-4337 bundler';
