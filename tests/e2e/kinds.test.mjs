// Kinds of container: a contract calls a cryptlet written in Java that runs as a program of its own, and the chain replays
// without it.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Interface } from 'ethers';
import { audit, cryptlet, root, rpc, run, startDevNode } from './support/node.mjs';

const java = existsSync('/usr/bin/java') ? {} : { skip: 'java is not on this machine (scripts/setup installs it)' };
const median = new Interface(['function median(uint256[]) returns (uint256)']);
const delegate = new Interface(['function invoke(bytes32,bytes) returns (bytes)', 'error CryptletError(uint16,bytes)']);
let folder, node, cryptletId, forwarder;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  node = await startDevNode();
});
after(async () => {
  await node?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function receiptOf(hash) {
  for (;;) {
    const receipt = await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]);
    if (receipt) return receipt;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const send = async (transaction) =>
  receiptOf(await rpc(node.ready.http, 'eth_sendTransaction', [
    { from: node.ready.accounts[3].address, gas: '0x200000', ...transaction },
  ]));

/** A contract that hands its call data to the delegate and keeps the first word of the answer in slot 0. */
const forwarding = [
  '365f5f37', // calldatacopy(0, 0, calldatasize)
  '5f5f365f5f', // room for the answer: none yet; call data from 0; no value
  '61cd005af1', // call 0x…Cd00, the delegate, with all gas
  '3d5f5f3e', // returndatacopy(0, 0, returndatasize)
  '601857', // went well? on to 0x18
  '3d5ffd', // no: revert with what came back
  '5b6040515f5500', // sstore(0, mload(0x40)): the answer is behind its offset and its length
].join('');

async function deploy(runtime) {
  const size = (runtime.length / 2).toString(16).padStart(2, '0');
  const receipt = await send({ data: `0x60${size}8060095f395ff3${runtime}` });
  assert.equal(receipt.status, '0x1');
  return receipt.contractAddress;
}

test('a program in Java is registered, and says that it claims no determinism', java, async () => {
  const { code, stdout, stderr } = await run(cryptlet, [
    'register', path.join(root, 'examples/hello-java'), '--rpc-url', node.ready.http, '--json',
  ]);
  assert.equal(code, 0, stderr);
  const answer = JSON.parse(stdout);
  assert.deepEqual([answer.kind, answer.deterministic], ['process', false]);
  cryptletId = answer.cryptletId;
});

test('it is called from the command line, and fails as contracts do', java, async () => {
  const call = (...values) => run(cryptlet, [
    'invoke', 'hello-java', 'median(uint256[])(uint256)', `[${values}]`, '--rpc-url', node.ready.http, '--json',
  ]);
  const { code, stdout, stderr } = await call(7, 9, 8, 1);
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout).result, ['7']);
  const refused = await call();
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /no numbers have no middle/);
});

test('a contract calls it and keeps its answer', java, async () => {
  forwarder = await deploy(forwarding);
  const data = delegate.encodeFunctionData('invoke', [cryptletId, median.encodeFunctionData('median', [[5n, 100n, 6n]])]);
  const receipt = await send({ to: forwarder, data });
  assert.equal(receipt.status, '0x1');
  assert.equal(BigInt(await rpc(node.ready.http, 'eth_getStorageAt', [forwarder, '0x0', 'latest'])), 6n);
  const { records } = await rpc(node.ready.http, 'cryptlet_getRecords', [receipt.transactionHash]);
  assert.deepEqual(records.map(({ status }) => status), ['ok']);
});

test('Solidity logic runs off the chain, to the same figures as on it', async () => {
  const artifact = JSON.parse(await readFile(path.join(root, 'contracts/artifacts/OptionPricerSolidity.json'), 'utf8'));
  const package_ = path.join(folder, 'pricer');
  await mkdir(package_);
  await writeFile(path.join(package_, 'pricer.hex'), artifact.bytecode);
  await writeFile(path.join(package_, 'config.json'), JSON.stringify({
    name: 'pricer', publicKey: '', config: { kind: 'evm', code: 'pricer.hex', unitsMax: 1000000, outputBytesMax: 1024, evm: { form: 'creation' } },
  }));
  const checked = await run(cryptlet, ['package', 'check', package_, '--json']);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  const registered = await run(cryptlet, ['register', package_, '--rpc-url', node.ready.http, '--json']);
  assert.equal(registered.code, 0, registered.stderr);
  const answer = JSON.parse(registered.stdout);
  assert.deepEqual([answer.kind, answer.deterministic], ['evm', true]);

  const pricer = new Interface(artifact.abi);
  const wad = (value) => BigInt(Math.round(value * 1e6)) * 10n ** 12n;
  const arguments_ = [wad(100), wad(105), wad(0.03), wad(0.2), wad(1), 50n, 7n];
  const data = pricer.encodeFunctionData('price', arguments_);
  const onChain = await rpc(node.ready.http, 'eth_call', [{ to: node.ready.contracts.OptionPricerSolidity, data, gas: '0x5f5e100' }, 'latest']);
  const { code, stdout, stderr } = await run(cryptlet, [
    'invoke', 'pricer', 'price(uint256,uint256,uint256,uint256,uint256,uint32,uint64)(uint256,uint256)', ...arguments_.map(String),
    '--rpc-url', node.ready.http, '--json',
  ]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout).result, [...pricer.decodeFunctionResult('price', onChain)].map(String));
  // And from a contract, in a transaction.
  forwarder ??= await deploy(forwarding);
  const receipt = await send({ to: forwarder, data: delegate.encodeFunctionData('invoke', [answer.cryptletId, data]), gas: '0x1000000' });
  assert.equal(receipt.status, '0x1');
  assert.equal(await rpc(node.ready.http, 'eth_getStorageAt', [forwarder, '0x0', 'latest']), onChain.slice(0, 66));
});

test('the chain replays with no Java, no host and no network', java, async () => {
  const file = path.join(folder, 'chain.cryptlet');
  const exported = await run(cryptlet, ['export', file, '--rpc-url', node.ready.http, '--json']);
  assert.equal(exported.code, 0, exported.stderr);
  const head = await rpc(node.ready.http, 'eth_getBlockByNumber', ['latest', false]);
  const { code, stdout, stderr } = await run('unshare', ['--map-root-user', '--net', audit, 'replay', file, '--json']);
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).stateRoot, head.stateRoot);
});

test('a program that claims determinism, or does not start, is refused with the reason', async () => {
  const package_ = path.join(folder, 'bad');
  await cp(path.join(root, 'examples/hello-java'), package_, { recursive: true });
  const config = JSON.parse(await readFile(path.join(package_, 'config.json'), 'utf8'));
  const register = async (change) => {
    const changed = structuredClone(config);
    changed.name = 'bad';
    change(changed.config);
    await writeFile(path.join(package_, 'config.json'), JSON.stringify(changed));
    const { code, stderr } = await run(cryptlet, ['register', package_, '--rpc-url', node.ready.http]);
    assert.notEqual(code, 0);
    return stderr;
  };
  assert.match(await register((c) => { c.deterministic = true; }), /clocks, threads/);
  assert.match(await register((c) => { c.process.arguments = ['-javaagent:x']; }), /-javaagent:x.*not accepted/);
  assert.match(await register((c) => { c.code = 'config.json'; c.process.runtime = 'native'; c.process.arguments = []; }), /not what native runs|could not be executed/);
});
