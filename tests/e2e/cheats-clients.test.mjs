// viem's test client, every action; Hardhat's network helpers, every one; cast and forge with --unlocked.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createPublicClient, createTestClient, createWalletClient, http, numberToHex, parseEther, publicActions } from 'viem';
import { foundry } from 'viem/chains';
import { root, run, startDevNode } from './support/node.mjs';

const X = '0x00000000000000000000000000000000000000AA';
const WORD = numberToHex(5, { size: 32 });
let node, url, funded;

before(async () => {
  node = await startDevNode('--no-examples', '--client-version', 'anvil/cryptlet');
  url = node.ready.http;
  funded = node.ready.accounts.map(({ address }) => address);
});
after(() => node?.stop());

for (const mode of ['anvil', 'hardhat']) {
  test(`viem's test client in mode ${mode}: every action`, async () => {
    const client = createTestClient({ chain: foundry, mode, transport: http(url) }).extend(publicActions);
    const wallet = createWalletClient({ chain: foundry, transport: http(url) });
    const id = await client.snapshot();
    await client.setBalance({ address: X, value: parseEther('2') });
    assert.equal(await client.getBalance({ address: X }), parseEther('2'));
    await client.setNonce({ address: X, nonce: 7 });
    assert.equal(await client.getTransactionCount({ address: X }), 7);
    await client.setCode({ address: X, bytecode: '0x600160005500' });
    assert.equal(await client.getCode({ address: X }), '0x600160005500');
    await client.setStorageAt({ address: X, index: 2, value: WORD });
    assert.equal(await client.getStorageAt({ address: X, slot: '0x2' }), WORD);
    const dumped = await client.dumpState();
    await client.setCoinbase({ address: X });
    await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 2_000_000_000n });
    await client.setBlockGasLimit({ gasLimit: 50_000_000n });
    const { timestamp } = await client.getBlock();
    await client.setNextBlockTimestamp({ timestamp: timestamp + 1000n });
    await client.mine({ blocks: 1 });
    const block = await client.getBlock();
    assert.deepEqual([block.miner, block.baseFeePerGas, block.gasLimit, block.timestamp],
      [X.toLowerCase(), 2_000_000_000n, 50_000_000n, timestamp + 1000n]);
    assert.equal(typeof await client.increaseTime({ seconds: 60 }), 'number');
    await client.mine({ blocks: 2, interval: 30 });
    if (mode === 'anvil') {
      await client.setBlockTimestampInterval({ interval: 5 });
      await client.mine({ blocks: 1 });
      await client.removeBlockTimestampInterval();
    }
    await client.impersonateAccount({ address: X });
    const hash = await wallet.sendTransaction({ account: X, to: funded[1], value: 1n });
    assert.equal((await client.getTransactionReceipt({ hash })).from, X.toLowerCase());
    await client.stopImpersonatingAccount({ address: X });
    await assert.rejects(wallet.sendTransaction({ account: X, to: funded[1], value: 1n }));
    const unsigned = await client.sendUnsignedTransaction({ from: X, to: funded[1], value: 1n });
    assert.equal((await client.getTransactionReceipt({ hash: unsigned })).status, 'success');
    await client.setAutomine(false);
    assert.equal(await client.getAutomine(), false);
    const waiting = await wallet.sendTransaction({ account: funded[0], to: funded[1], value: 1n });
    assert.equal((await client.getTxpoolStatus()).pending, 1);
    assert.equal(Object.keys((await client.getTxpoolContent()).pending).length, 1);
    assert.equal(Object.keys((await client.inspectTxpool()).pending).length, 1);
    await client.dropTransaction({ hash: waiting });
    assert.equal((await client.getTxpoolStatus()).pending, 0);
    const interval = mode === 'hardhat' ? 1 : 1000;
    await client.setIntervalMining({ interval });
    await client.setIntervalMining({ interval: 0 });
    await client.setAutomine(true);
    await client.setLoggingEnabled(true);
    await assert.rejects(client.setMinGasPrice({ gasPrice: 1n }), /not supported when EIP-1559 is active/);
    await client.setBalance({ address: X, value: 1n });
    await client.loadState({ state: dumped });
    assert.equal(await client.getBalance({ address: X }), parseEther('2'));
    await client.revert({ id });
    assert.equal(await client.getBalance({ address: X }), 0n);
    await assert.rejects(client.reset({ jsonRpcUrl: 'http://localhost:1', blockNumber: 1n }), /genesis alone/);
    if (mode === 'anvil') await assert.rejects(client.setRpcUrl('http://localhost:1'), /genesis alone/);
  });
}

test("Hardhat's network helpers, every one, against this node as an external network", async () => {
  Object.assign(process.env, {
    CRYPTLET_URL: url, HARDHAT_NETWORK: 'cryptlet', HARDHAT_DISABLE_TELEMETRY_PROMPT: 'true',
    HARDHAT_CONFIG: path.join(root, 'tests/e2e/support/hardhat.config.cjs'),
  });
  const { default: hre } = await import('hardhat');
  const { default: helpers } = await import('@nomicfoundation/hardhat-network-helpers');
  const { provider } = hre.network;
  const request = (method, ...params) => provider.request({ method, params });
  const snapshot = await helpers.takeSnapshot();
  await helpers.setBalance(X, parseEther('3'));
  assert.equal(BigInt(await request('eth_getBalance', X, 'latest')), parseEther('3'));
  await helpers.setNonce(X, 9);
  await helpers.setCode(X, '0x600160005500');
  await helpers.setStorageAt(X, 3, 5);
  assert.equal(await helpers.getStorageAt(X, 3), WORD);
  await helpers.setCoinbase(X);
  await helpers.setPrevRandao(77);
  await helpers.setNextBlockBaseFeePerGas(2_000_000_000);
  await helpers.setBlockGasLimit(60_000_000);
  await helpers.mine();
  const block = await request('eth_getBlockByNumber', 'latest', false);
  assert.deepEqual([block.miner, Number(block.baseFeePerGas), Number(block.gasLimit), BigInt(block.mixHash)],
    [X.toLowerCase(), 2_000_000_000, 60_000_000, 77n]);
  const height = await helpers.time.latestBlock();
  await helpers.mine(3, { interval: 60 });
  await helpers.mineUpTo(height + 5);
  assert.equal(await helpers.time.latestBlock(), height + 5);
  const now = await helpers.time.latest();
  await helpers.time.increase(100);
  assert.ok(await helpers.time.latest() >= now + 100);
  await helpers.time.increaseTo(now + 1000);
  assert.equal(await helpers.time.latest(), now + 1000);
  await helpers.time.setNextBlockTimestamp(now + 2000);
  await helpers.mine();
  assert.equal(await helpers.time.latest(), now + 2000);
  await helpers.impersonateAccount(X);
  const hash = await request('eth_sendTransaction', { from: X, to: funded[1], value: '0x1', gas: '0x5208' });
  assert.equal((await request('eth_getTransactionReceipt', hash)).status, '0x1');
  await helpers.stopImpersonatingAccount(X);
  await request('evm_setAutomine', false);
  const waiting = await request('eth_sendTransaction', { from: funded[0], to: funded[1], value: '0x1', gas: '0x5208' });
  assert.equal(await helpers.dropTransaction(waiting), true);
  await request('evm_setAutomine', true);
  let runs = 0;
  const fixture = async () => { runs += 1; await helpers.setBalance(X, 5n); return 'made'; };
  assert.equal(await helpers.loadFixture(fixture), 'made');
  await helpers.setBalance(X, 6n);
  assert.equal(await helpers.loadFixture(fixture), 'made');
  assert.equal(runs, 1);
  assert.equal(BigInt(await request('eth_getBalance', X, 'latest')), 5n);
  await helpers.clearSnapshots();
  await snapshot.restore();
  assert.equal(BigInt(await request('eth_getBalance', X, 'latest')), 0n);
  await helpers.setBalance(X, 7n);
  await helpers.reset();
  assert.equal(BigInt(await request('eth_getBalance', X, 'latest')), 0n);
});

test('cast rpc and cast send --unlocked act as a stranger; forge script broadcasts as one', async () => {
  const tool = (name) => path.join(root, `contracts/node_modules/@foundry-rs/${name}-linux-amd64/bin/${name}`);
  assert.ok(existsSync(tool('forge')), 'forge comes with contracts/package.json');
  const foundry = async (name, args, options = {}) => {
    const { code, stdout, stderr } = await run(tool(name), args, { env: { ...process.env, FOUNDRY_DISABLE_NIGHTLY_WARNING: '1' }, ...options });
    assert.equal(code, 0, `${name} ${args.join(' ')}\n${stdout}\n${stderr}`);
    return stdout.trim();
  };
  const at = ['--rpc-url', url];
  await foundry('cast', ['rpc', ...at, 'anvil_setBalance', X, '0x8ac7230489e80000']);
  await foundry('cast', ['rpc', ...at, 'anvil_impersonateAccount', X]);
  const sent = await foundry('cast', ['send', ...at, '--json', '--from', X, '--unlocked', funded[1], '--value', '1']);
  assert.equal(JSON.parse(sent).from, X.toLowerCase());
  const project = mkdtempSync(path.join(tmpdir(), 'cryptlet-forge-'));
  try {
    // The tree's own compiler: nothing is fetched.
    const solc = path.join(root, 'contracts/scripts/solc');
    writeFileSync(path.join(project, 'foundry.toml'), `[profile.default]\nsrc = "."\nscript = "."\noffline = true\nsolc = "${solc}"\n`);
    writeFileSync(path.join(project, 'Send.s.sol'), `
      interface Vm { function startBroadcast(address) external; function stopBroadcast() external; }
      contract Kept { uint256 public kept = 42; }
      contract Send {
        Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
        function run() external {
          vm.startBroadcast(${X});
          new Kept();
          vm.stopBroadcast();
        }
      }`);
    await foundry('forge', ['script', ...at, '--broadcast', '--unlocked', '--sender', X, 'Send.s.sol:Send'], { cwd: project });
    const made = await foundry('cast', ['nonce', ...at, X]);
    assert.equal(Number(made), 2);
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
});
