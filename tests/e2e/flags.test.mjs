// The flags of `cryptlet node` that nothing else drives: each is given to the binary, and what it promises is looked at.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { cryptlet, rpc, run, startDevNode } from './support/node.mjs';

const ETHER = 10n ** 18n;
const nobody = `0x${'ee'.repeat(20)}`;

/** A plain dev node with these flags, stopped when the test ends. */
async function plain(t, ...flags) {
  const node = await startDevNode('--no-fabric', ...flags);
  t.after(() => node.stop());
  const call = (method, params) => rpc(node.ready.http, method, params);
  return { ...node, call };
}

/** What the binary says when it refuses these flags. */
async function refused(...flags) {
  const { code, stderr } = await run(cryptlet, ['node', '--dev', '--port', '0', ...flags]);
  assert.notEqual(code, 0, `${flags.join(' ')} was taken`);
  return stderr;
}

const refuses = (promise, words) => assert.rejects(promise, (error) => words.test(error.message));
const transfer = (from, more = {}) => ({ from, to: nobody, value: '0x1', gas: '0x5208', ...more });

test('accounts: number, ether, path, a phrase of one’s own, a phrase drawn anew', async (t) => {
  const node = await plain(t, '-a', '3', '--balance', '7', '--derivation-path', "m/44'/60'/1'/0/");
  const { accounts } = node.ready;
  assert.equal(accounts.length, 3);
  assert.equal(accounts[0].address, '0x8C8d35429F74ec245F8Ef2f4Fd1e551cFF97d650');
  assert.equal(BigInt(await node.call('eth_getBalance', [accounts[2].address, 'latest'])), 7n * ETHER);

  const phrase = 'legal winner thank year wave sausage worth useful legal winner thank yellow';
  const other = await plain(t, '--mnemonic', phrase);
  assert.equal(other.ready.accounts[0].address, '0x58A57ed9d8d624cBD12e2C467D34787555bB1b25');

  const [one, two] = [await plain(t, '--mnemonic-random'), await plain(t, '--mnemonic-random', '24')];
  assert.equal(one.ready.mnemonic.split(' ').length, 12);
  assert.equal(two.ready.mnemonic.split(' ').length, 24);
  const again = await plain(t, '--mnemonic', two.ready.mnemonic);
  assert.deepEqual(again.ready.accounts, two.ready.accounts);

  assert.match(await refused('--mnemonic', 'test test junk'), /--mnemonic.*give no keys/s);
  assert.match(await refused('--mnemonic-random', '13'), /is not 12, 15, 18, 21 or 24/);
});

test('mixed mining: on arrival and by the clock', async (t) => {
  const node = await plain(t, '--block-time', '0.3', '--mixed-mining');
  const [{ address }] = node.ready.accounts;
  const hash = await node.call('eth_sendTransaction', [transfer(address)]);
  const receipt = await node.call('eth_getTransactionReceipt', [hash]);
  assert.equal(receipt.status, '0x1', 'it is mined on arrival');
  const mined = BigInt(receipt.blockNumber);
  while (BigInt(await node.call('eth_blockNumber')) < mined + 2n);
  const empty = await node.call('eth_getBlockByNumber', [`0x${(mined + 1n).toString(16)}`, false]);
  assert.equal(empty.transactions.length, 0, 'the clock makes blocks, too');
});

test('order: whatever came first', async (t) => {
  const node = await plain(t, '--order', 'fifo', '--no-mining');
  const [poor, rich] = node.ready.accounts.map(({ address }) => address);
  const tip = (gwei) => ({ maxFeePerGas: '0x174876e800', maxPriorityFeePerGas: `0x${(BigInt(gwei) * 10n ** 9n).toString(16)}` });
  const first = await node.call('eth_sendTransaction', [transfer(poor, tip(1))]);
  const second = await node.call('eth_sendTransaction', [transfer(rich, tip(9))]);
  await node.call('evm_mine', []);
  const block = await node.call('eth_getBlockByNumber', ['latest', false]);
  assert.deepEqual(block.transactions, [first, second]);
});

test('everybody may be sent for', async (t) => {
  const node = await plain(t, '--auto-impersonate');
  await node.call('anvil_setBalance', [nobody, `0x${ETHER.toString(16)}`]);
  const hash = await node.call('eth_sendTransaction', [transfer(nobody, { to: node.ready.accounts[0].address })]);
  assert.equal((await node.call('eth_getTransactionReceipt', [hash])).from, nobody);
});

test('gas: of a block, without a bound, its base fee and what is suggested', async (t) => {
  const small = await plain(t, '--gas-limit', '5000000', '--block-base-fee-per-gas', '12345');
  const genesis = await small.call('eth_getBlockByNumber', ['0x0', false]);
  assert.deepEqual([genesis.gasLimit, genesis.baseFeePerGas], ['0x4c4b40', '0x3039']);

  const boundless = await plain(t, '--disable-block-gas-limit', '--disable-min-priority-fee');
  assert.equal((await boundless.call('eth_getBlockByNumber', ['0x0', false])).gasLimit, '0x7fffffffffffffff');
  assert.equal(await boundless.call('eth_maxPriorityFeePerGas'), '0x0');
  const hash = await boundless.call('eth_sendTransaction', [transfer(boundless.ready.accounts[0].address, { gas: '0x3b9aca00' })]);
  assert.equal((await boundless.call('eth_getTransactionReceipt', [hash])).status, '0x1');

  const old = await plain(t, '--hardfork', 'berlin', '--gas-price', '77');
  assert.equal(await old.call('eth_gasPrice'), '0x4d');
});

test('code: of any size, or of no more than said', async (t) => {
  // PUSH3 size, PUSH1 0, RETURN: a contract of `size` zeros.
  const creation = (size) => `0x62${size.toString(16).padStart(6, '0')}6000f3`;
  const deploy = async (node, size) => {
    const request = { from: node.ready.accounts[0].address, data: creation(size), gas: '0x1c9c380' };
    const hash = await node.call('eth_sendTransaction', [request]);
    return (await node.call('eth_getTransactionReceipt', [hash])).status;
  };
  const usual = await plain(t);
  assert.deepEqual([await deploy(usual, 24_576), await deploy(usual, 24_577)], ['0x1', '0x0']);
  const small = await plain(t, '--code-size-limit', '1000');
  assert.deepEqual([await deploy(small, 1000), await deploy(small, 1001)], ['0x1', '0x0']);
  const any = await plain(t, '--disable-code-size-limit');
  assert.equal(await deploy(any, 100_000), '0x1');
});

test('time of the first block, and how far behind safe and finalized are', async (t) => {
  const node = await plain(t, '--timestamp', '1000000000', '--slots-in-an-epoch', '2');
  assert.equal((await node.call('eth_getBlockByNumber', ['0x0', false])).timestamp, '0x3b9aca00');
  await node.call('anvil_mine', ['0x6']);
  const height = async (tag) => Number((await node.call('eth_getBlockByNumber', [tag, false])).number);
  assert.deepEqual([await height('latest'), await height('safe'), await height('finalized')], [6, 4, 2]);
  const { timestamp } = await node.call('eth_getBlockByNumber', ['latest', false]);
  assert.ok(Number(timestamp) < 1_000_001_000, 'the clock goes on from there');
});

test('a first block of any number, accounts of a seed, another genesis', async (t) => {
  const seeded = await plain(t, '--mnemonic-seed-unsafe', '1', '--number', '7');
  // What anvil 1.7.1 makes of this seed.
  assert.equal(seeded.ready.accounts[0].address, '0x95132632579b073D12a6673e18Ab05777a6B86f8');
  const [{ address: from }] = seeded.ready.accounts;
  const hash = await seeded.call('eth_sendTransaction', [transfer(from)]);
  assert.equal((await seeded.call('eth_getTransactionReceipt', [hash])).blockNumber, '0x8');
  assert.equal((await seeded.call('eth_getBlockByNumber', ['earliest', false])).number, '0x7');
  assert.equal(await seeded.call('eth_getBlockByNumber', ['0x0', false]), null);
  assert.equal(BigInt(await seeded.call('eth_getBalance', [from, '0x7'])), 10_000n * ETHER);
  assert.deepEqual(await seeded.call('eth_getLogs', [{ fromBlock: 'earliest' }]), []);

  const folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-flags-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'genesis.json');
  const blocks = ['homestead', 'eip150', 'eip155', 'eip158', 'byzantium', 'constantinople', 'petersburg', 'istanbul', 'berlin', 'london'];
  const config = { chainId: 4242, ...Object.fromEntries(blocks.map((name) => [`${name}Block`, 0])), terminalTotalDifficulty: 0, shanghaiTime: 0 };
  const alloc = { [nobody]: { balance: '0x5', code: '0x60005460005260206000f3', storage: { [`0x${'0'.repeat(64)}`]: '0x2a' } } };
  const genesis = { config, alloc, difficulty: '0x0', gasLimit: '0x1c9c380', timestamp: '0x3b9aca00' };
  await writeFile(file, JSON.stringify(genesis));
  const other = await startDevNode('--init', file, '--balance', '3');
  t.after(() => other.stop());
  const call = (method, params) => rpc(other.ready.http, method, params);
  assert.equal(await call('eth_chainId'), '0x1092');
  assert.equal(Number(await call('eth_call', [{ to: nobody }, 'latest'])), 42);
  assert.equal(BigInt(await call('eth_getBalance', [other.ready.accounts[9].address, 'latest'])), 3n * ETHER);
  await call('eth_sendTransaction', [transfer(other.ready.accounts[0].address)]);
  const head = await call('eth_getBlockByNumber', ['latest', false]);
  assert.equal(head.number, '0x1');
  assert.deepEqual(head.withdrawals, []);
  assert.equal(head.excessBlobGas, undefined);

  await writeFile(file, JSON.stringify({ ...genesis, config: { ...config, cryptletFabric: {} } }));
  assert.match(await refused('--init', file), /start that chain with --genesis/);
});

test('JSON-RPC: bounds that are asked for hold', async (t) => {
  const node = await plain(
    t, '--rpc.batch-request-limit', '2', '--rpc.max-request-size', '1', '--rpc.gascap', '100000', '--rpc.txfeecap', '0.001',
    '--rpc.rangelimit', '3', '--rpc.max-logs-per-response', '1',
  );
  const url = node.ready.http;
  const [{ address }] = node.ready.accounts;
  const post = (body) => fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const ask = { jsonrpc: '2.0', id: 1, method: 'eth_chainId', params: [] };
  const batch = await (await post(JSON.stringify([ask, ask, ask]))).json();
  assert.equal(batch[0].error.message, 'batch too large');
  assert.equal((await post('x'.repeat(1_100_000))).status, 413);
  // A loop without end costs all the gas there is, which is no more than the cap.
  await refuses(node.call('eth_call', [{ from: address, data: '0x5b600056' }, 'latest']), /out of gas/);
  const dear = transfer(address, { gasPrice: '0x174876e800' });
  await refuses(node.call('eth_sendTransaction', [dear]), /exceeds the configured cap/);
  await node.call('anvil_mine', ['0xa']);
  await refuses(node.call('eth_getLogs', [{ fromBlock: '0x0', toBlock: '0x5' }]), /range|blocks/);
  // Two logs in one transaction's constructor: LOG0, LOG0.
  await node.call('eth_sendTransaction', [{ from: address, data: '0x60006000a060006000a0', gas: '0x15f90' }]);
  await refuses(node.call('eth_getLogs', [{ fromBlock: 'latest', toBlock: 'latest' }]), /logs|results/);

  const free = await plain(t, '--no-request-size-limit');
  const long = JSON.stringify([{ ...ask, params: ['x'.repeat(20_000_000)] }]);
  const answer = await fetch(free.ready.http, { method: 'POST', headers: { 'content-type': 'application/json' }, body: long });
  assert.equal(answer.status, 200);
});

test('JSON-RPC: who may call, under which name, by which door', async (t) => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-flags-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const page = 'http://page.example';
  const cors = async (node) => {
    const answer = await fetch(node.ready.http, { method: 'OPTIONS', headers: { origin: page, 'access-control-request-method': 'POST' } });
    return answer.headers.get('access-control-allow-origin');
  };
  const some = await plain(t, '--http.corsdomain', page, '--ws.port', '0', '--ws.api', 'net', '--datadir', folder);
  assert.equal(await cors(some), page);
  assert.ok(existsSync(some.ready.ipc));
  assert.notEqual(new URL(some.ready.ws).port, new URL(some.ready.http).port);
  await refuses(rpc(some.ready.ws.replace('ws', 'http'), 'eth_chainId'), /not available/);
  assert.equal(await rpc(some.ready.ws.replace('ws', 'http'), 'net_version'), '31337');

  const none = await plain(t, '--no-cors', '--ipcdisable', '--http.vhosts', 'node.example', '--config-out', path.join(folder, 'ready.json'));
  assert.equal(await cors(none), null);
  assert.equal(none.ready.ipc, undefined);
  const written = JSON.parse(await readFile(path.join(folder, 'ready.json')));
  assert.equal(written.http, none.ready.http);
  const elsewhere = await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Host: evil.example', none.ready.http]);
  assert.equal(elsewhere.stdout, '403');
});

test('an account that a public node may sign with', async (t) => {
  const key = `0x${'11'.repeat(32)}`;
  const node = await plain(t, '--insecure-unlock', key);
  assert.ok((await node.call('eth_accounts')).includes('0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a'));
});

test('a fork: headers, tries and patience', async (t) => {
  const origin = await plain(t);
  const seen = [];
  let failures = 2;
  const proxy = createServer(async (request, response) => {
    seen.push(request.headers['x-secret']);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (failures-- > 0) return response.writeHead(503).end();
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(origin.ready.http, { method: 'POST', headers, body: Buffer.concat(chunks) });
    response.writeHead(200, headers).end(await answer.text());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.address().port}`;
  const flags = ['--fork-url', url, '--no-storage-caching', '--fork-header', 'X-Secret: abc', '--fork-retry-backoff', '10'];
  const fork = await plain(t, ...flags, '--fork-retries', '3', '--fork-timeout-ms', '5000');
  assert.equal(await fork.call('eth_chainId'), '0x7a69');
  assert.ok(seen.length > 2 && seen.every((header) => header === 'abc'), 'every request has the header');
  failures = 100;
  assert.match(await refused(...flags, '--fork-retries', '1'), /503|does not answer|forked chain/);
});

test('flags that anvil has and this node has no need of are taken', async (t) => {
  const node = await plain(
    t, '--steps-tracing', '--transaction-block-keeper', '5', '--max-persisted-states', '5', '--preserve-historical-states',
    '--disable-console-log', '--no-rate-limit', '--compute-units-per-second', '100', '--threads', '2', '--no-sync',
  );
  assert.equal(await node.call('eth_chainId'), '0x7a69');
});
