// A host in a process of its own, reached over mutual TLS: found by its signed descriptor, and then taken away.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Interface } from 'ethers';
import { audit, cryptlet, root, rpc, run, start } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const tools = new Interface(artifact('StockClient').abi);
const averages = tools.encodeFunctionData('movingAverage', [[10n, 20n, 30n], 2]);
let folder, host, node;

/** Folder, host and certificates; the node is started by the tests. */
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  host = await startHost();
  await enroll('operator', '--operator');
  await enroll('caller');
});
after(async () => {
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const startHost = (listen = '127.0.0.1:0', plate = '127.0.0.1:0') =>
  start(['host', '--datadir', path.join(folder, 'host'), '--listen', listen, '--descriptor-listen', plate]);

async function enroll(name, ...flags) {
  const { code, stderr } = await run(cryptlet, [
    'host', 'enroll', name, '--datadir', path.join(folder, 'host'), '--out', path.join(folder, `${name}.pem`), ...flags,
  ]);
  assert.equal(code, 0, stderr);
}

const nodeFlags = (signature = host.ready.address, identity = 'operator') => [
  'node', '--dev', '--port', '0', '--datadir', path.join(folder, 'node'), '--unavailable-after-blocks', '3',
  '--parked-block-interval-ms', '100', '--call-timeout-ms', '2000', '--host-patience-ms', '500',
  '--crypto-delegate-path', host.ready.descriptor, '--crypto-delegate-signature', signature,
  '--crypto-delegate-identity', path.join(folder, `${identity}.pem`),
];

async function receiptOf(hash) {
  for (;;) {
    const receipt = await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]);
    if (receipt) return receipt;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const send = (gas = '0x100000') =>
  rpc(node.ready.http, 'eth_sendTransaction', [
    { from: node.ready.accounts[3].address, to: node.ready.contracts.StockClient, data: averages, gas },
  ]);

test('a descriptor that another key signed is refused at start', async () => {
  const { code, stderr } = await run(cryptlet, nodeFlags(`0x${'11'.repeat(20)}`));
  assert.notEqual(code, 0);
  assert.match(stderr, /signed by/i);
});

test('a node calls a host in another process over mutual TLS', async () => {
  node = await start(nodeFlags());
  const receipt = await receiptOf(await send());
  assert.equal(receipt.status, '0x1');
  const { records } = await rpc(node.ready.http, 'cryptlet_getRecords', [receipt.transactionHash]);
  assert.equal(records.length, 1);
});

test('with its host killed the node makes blocks, and the transaction ends in one receipt that says why', async () => {
  const port = new URL(host.ready.descriptor).host;
  const door = host.ready.listen;
  await host.stop('SIGKILL');

  const hash = await send();
  const plain = await rpc(node.ready.http, 'eth_sendTransaction', [
    { from: node.ready.accounts[4].address, to: node.ready.accounts[5].address, value: '0x1' },
  ]);
  assert.equal((await receiptOf(plain)).status, '0x1');
  const receipt = await receiptOf(hash);
  assert.equal(receipt.status, '0x0');
  const { records } = await rpc(node.ready.http, 'cryptlet_getRecords', [hash]);
  assert.deepEqual(records.map(({ status }) => status), ['unavailable']);
  assert.equal(records[0].unavailableReason, 'hostUnreachable');

  const error = await rpc(node.ready.http, 'eth_call', [
    { from: node.ready.accounts[3].address, to: node.ready.contracts.StockClient, data: averages }, 'latest',
  ]).then(() => assert.fail('it went through'), (error) => error);
  assert.match(error.message, /no dry-run answer came/);

  host = await startHost(door, port);
});

test('with its host back, calls are answered again', async () => {
  // Keys do not outlive their process: the node has the host start its cryptlets again when it starts.
  await node.stop();
  node = await start(nodeFlags());
  assert.equal((await receiptOf(await send())).status, '0x1');
});

test('an exported chain replays without host or network to the same state root', async () => {
  const file = path.join(folder, 'chain.cryptlet');
  const exported = await run(cryptlet, ['export', file, '--rpc-url', node.ready.http, '--json']);
  assert.equal(exported.code, 0, exported.stderr);
  const head = await rpc(node.ready.http, 'eth_getBlockByNumber', ['latest', false]);
  for (const command of [[cryptlet], [audit]]) {
    const { code, stdout, stderr } = await run('unshare', ['--map-root-user', '--net', ...command, 'replay', file, '--json']);
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).stateRoot, head.stateRoot);
    const verified = await run('unshare', ['--map-root-user', '--net', ...command, 'verify', file, '--json']);
    assert.equal(verified.code, 0, verified.stderr);
  }
});

test('a package is registered with the host and called', async () => {
  const package_ = path.join(folder, 'package');
  await cp(path.join(root, 'examples/equity-tools'), package_, { recursive: true });
  const config = JSON.parse(await readFile(path.join(package_, 'config.json'), 'utf8'));
  await writeFile(path.join(package_, 'config.json'), JSON.stringify({ ...config, name: 'my-tools' }));
  const registered = await run(cryptlet, [
    'register', package_, '--rpc-url', node.ready.http, '--json', '--crypto-delegate-path', host.ready.descriptor,
    '--crypto-delegate-signature', host.ready.address, '--crypto-delegate-identity', path.join(folder, 'operator.pem'),
  ]);
  assert.equal(registered.code, 0, registered.stderr);
  const { cryptletId } = JSON.parse(registered.stdout);
  const call = ['movingAverage(uint256[],uint32)(uint256[])', '[10,20,30]', '2', '--rpc-url', node.ready.http, '--json'];
  for (const wanted of ['my-tools', cryptletId]) {
    const { code, stdout, stderr } = await run(cryptlet, ['invoke', wanted, ...call]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).result, [['15', '25']]);
  }
});

test('a node that was enrolled to call may not publish', async () => {
  const { code, stderr } = await run(cryptlet, [
    'register', path.join(root, 'examples/equity-tools'), '--rpc-url', node.ready.http, '--crypto-delegate-path',
    host.ready.descriptor, '--crypto-delegate-signature', host.ready.address, '--crypto-delegate-identity',
    path.join(folder, 'caller.pem'),
  ]);
  assert.notEqual(code, 0);
  assert.match(stderr, /operator/i);
});
