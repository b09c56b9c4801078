// What `cryptlet node --dev` promises a newcomer.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { cryptlet, root, rpc, run, startDevNode } from './support/node.mjs';

// The first and the last account of the well-known test mnemonic.
const FIRST = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266';
const LAST = '0xa0Ee7A142d267C1f36714E4a8F75612F20a79720';
const TEN_THOUSAND_ETHER = '0x21e19e0c9bab2400000';

test('a dev node has chain id 31337, ten funded accounts at nonce 0, and the examples deployed', async () => {
  const node = await startDevNode();
  try {
    const { http, accounts, contracts, cryptlets } = node.ready;
    assert.equal(await rpc(http, 'eth_chainId'), '0x7a69');
    assert.equal(accounts.length, 10);
    assert.equal(accounts[0].address, FIRST);
    assert.equal(accounts[9].address, LAST);
    assert.deepEqual(
      (await rpc(http, 'eth_accounts')).map((address) => address.toLowerCase()),
      accounts.map(({ address }) => address.toLowerCase()),
    );
    for (const { address } of accounts) {
      assert.equal(await rpc(http, 'eth_getBalance', [address, 'latest']), TEN_THOUSAND_ETHER);
      assert.equal(await rpc(http, 'eth_getTransactionCount', [address, 'latest']), '0x0');
    }
    for (const name of ['CreditDefaultSwap', 'StockClient', 'OptionPricer', 'OptionPricerSolidity']) {
      assert.notEqual(await rpc(http, 'eth_getCode', [contracts[name], 'latest']), '0x', `${name} has code`);
    }
    for (const name of ['equity-tools', 'monte-carlo']) {
      const entry = await rpc(http, 'cryptlet_getCryptlet', [name]);
      assert.equal(entry.cryptletId, cryptlets[name]);
    }
  } finally {
    await node.stop();
  }
});

test('a chain in a data folder is there again after SIGKILL, and its cryptlets answer again', async () => {
  const datadir = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  try {
    const first = await startDevNode('--datadir', datadir);
    const contracts = first.ready.contracts;
    const sent = await rpc(first.ready.http, 'eth_sendTransaction', [{ from: FIRST, to: LAST, value: '0x1' }]);
    const receipt = await rpc(first.ready.http, 'eth_getTransactionReceipt', [sent]);
    assert.equal(receipt.status, '0x1');
    await first.stop('SIGKILL');

    const second = await startDevNode('--datadir', datadir);
    try {
      const { http } = second.ready;
      assert.deepEqual(second.ready.contracts, contracts);
      assert.equal((await rpc(http, 'eth_getTransactionReceipt', [sent])).blockHash, receipt.blockHash);
      const { code, stdout, stderr } = await run(cryptlet, [
        'invoke', 'equity-tools', 'movingAverage(uint256[],uint32)(uint256[])', '[10,20,30]', '2', '--rpc-url', http, '--json',
      ]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout).result, [['15', '25']]);
    } finally {
      await second.stop();
    }
  } finally {
    await rm(datadir, { recursive: true, force: true });
  }
});

test('a dev node keeps every state, and with --history.state only those near the head', async () => {
  for (const [flags, isKept] of [[[], true], [['--history.state', '8'], false]]) {
    const node = await startDevNode('--no-fabric', ...flags);
    try {
      const { http } = node.ready;
      await rpc(http, 'anvil_mine', ['0x20']);
      assert.equal(await rpc(http, 'eth_getBalance', [FIRST, '0x1c']), TEN_THOUSAND_ETHER);
      const proof = await rpc(http, 'eth_getProof', [FIRST, [], '0x1c']);
      assert.equal(proof.balance, TEN_THOUSAND_ETHER);
      const old = rpc(http, 'eth_getBalance', [FIRST, '0x2']);
      if (isKept) assert.equal(await old, TEN_THOUSAND_ETHER);
      else await assert.rejects(old, /the state of block 2 is not kept by this node/);
      // Blocks and receipts are never pruned.
      assert.equal((await rpc(http, 'eth_getBlockByNumber', ['0x2', false])).number, '0x2');
    } finally {
      await node.stop();
    }
  }
});

test('a dev node without a data folder leaves nothing behind', async () => {
  const tmp = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  const before = process.env.TMPDIR;
  process.env.TMPDIR = tmp;
  try {
    const node = await startDevNode('--no-examples');
    assert.notDeepEqual(await readdir(tmp), []);
    assert.equal(await node.stop('SIGINT'), 0);
    assert.deepEqual(await readdir(tmp), []);
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    await rm(tmp, { recursive: true, force: true });
  }
});

test('a port that is taken is said to be taken', async () => {
  const node = await startDevNode('--no-examples');
  try {
    const port = new URL(node.ready.http).port;
    const { code, stderr } = await run(cryptlet, ['node', '--dev', '--no-examples', '--port', port]);
    assert.notEqual(code, 0);
    assert.match(stderr, new RegExp(`127\\.0\\.0\\.1:${port}.*in use`));
  } finally {
    await node.stop();
  }
});

test('a package is registered with the host inside a dev node and called', async () => {
  const node = await startDevNode('--no-examples');
  try {
    const flags = ['--rpc-url', node.ready.http, '--json'];
    const registered = await run(cryptlet, ['register', path.join(root, 'examples/equity-tools'), ...flags]);
    assert.equal(registered.code, 0, registered.stderr);
    const { code, stdout, stderr } = await run(cryptlet, [
      'invoke', 'equity-tools', 'relativeStrengthIndex(uint256[],uint32)(uint256)', '[10,20]', '1', ...flags,
    ]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).result, [(100n * 10n ** 18n).toString()]);
  } finally {
    await node.stop();
  }
});
