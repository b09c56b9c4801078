// A renewal whose transaction is nowhere to be seen is given up after 128 blocks, and may reach the chain all the same: its anchor holds
// for 256. Whenever that happens, `cryptlet host renew` goes on from what the chain says, without new keys and without anybody's help.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, Wallet, keccak256 } from 'ethers';
import { cryptlet, fabricOf, root, rpc, run, start, succeed } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const REGISTRY = '0x000000000000000000000000000000000000cd01';
const PHRASE = Mnemonic.fromPhrase('test test test test test test test test test test test junk');
const [admin, publisher, stranger] = [0, 1, 2].map((index) => HDNodeWallet.fromMnemonic(PHRASE, `m/44'/60'/24'/0/${index}`));
const GIVEN_UP_AFTER = 128;
let folder, host, node, provider, sender, registry, client, cryptletId, first;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  const { code, stdout, stderr } = await run(cryptlet, [
    'genesis', '--chain-id', '4246', '--accept', 'software', '--threshold', '1', '--administrator', admin.address, '--auto-activate',
    '--fund', publisher.address, '--fund', stranger.address,
  ]);
  assert.equal(code, 0, stderr);
  await writeFile(inside('genesis.json'), stdout);
  host = await start([
    'host', '--datadir', inside('host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0', '--key-lifetime-blocks', '1000',
  ]);
  await succeed('host', 'enroll', 'admin', '--operator', '--datadir', inside('host'), '--out', inside('admin.pem'));
  await succeed('host', 'enroll', 'node', '--datadir', inside('host'), '--out', inside('node.pem'));
  node = await start([
    'node', '--genesis', inside('genesis.json'), '--datadir', inside('node'), '--port', '0', '--no-sync', ...fabricOf(host, inside('node.pem')),
  ]);
  provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  sender = new Wallet(stranger.privateKey, provider);
  registry = new Contract(REGISTRY, artifact('CryptletRegistry').abi, provider);
  ({ cryptletId, active: [first] } = await succeed(
    'register', path.join(root, 'examples/equity-tools'), '--rpc-url', node.ready.http, ...fabricOf(host, inside('admin.pem')), ...own(),
  ));
  const { abi, bytecode } = artifact('StockClient');
  const nobody = `0x${'00'.repeat(20)}`;
  client = await new ContractFactory(abi, bytecode, sender).deploy(cryptletId, nobody, nobody);
  await client.waitForDeployment();
});
after(async () => {
  provider?.destroy();
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const own = () => ['--private-key', publisher.privateKey];
const renewal = (url, within = 1000) => ['host', 'renew', '--datadir', inside('host'), '--within', `${within}`, '--rpc-url', url, ...own()];
const standing = async (id) => Number((await registry.instance(id)).status);
const [ACTIVE, RETIRED, RENEWED] = [1, 3, 4];

async function answeredBy() {
  const receipt = await (await client.movingAverage([10n, 20n, 30n], 2)).wait();
  assert.equal(receipt.status, 1);
  const { records: [record] } = await rpc(node.ready.http, 'cryptlet_getRecords', [receipt.hash]);
  return record.result.registrationId;
}
async function mine(blocks) {
  for (let left = blocks; left > 0; left -= 1) await (await sender.sendTransaction({ to: admin.address, value: 1n })).wait();
}

/** Renews through a proxy that keeps the transaction, and kills the command while it waits: the transaction is what is given. */
async function renewAndLoseSight() {
  let kept;
  const seen = new Promise((resolve) => { kept = resolve; });
  const proxy = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const { id, method, params } = JSON.parse(body);
    response.setHeader('content-type', 'application/json');
    if (method === 'eth_sendRawTransaction') {
      kept(params[0]);
      return response.end(JSON.stringify({ jsonrpc: '2.0', id, result: keccak256(params[0]) }));
    }
    const answer = await fetch(node.ready.http, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    return response.end(await answer.text());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const child = spawn(cryptlet, renewal(`http://127.0.0.1:${proxy.address().port}`), { stdio: ['ignore', 'ignore', 'pipe'] });
  const errors = [];
  child.stderr.on('data', (chunk) => errors.push(chunk));
  const ended = once(child, 'exit');
  const transaction = await Promise.race([seen, ended.then(() => assert.fail(`it sent nothing: ${Buffer.concat(errors)}`))]);
  child.kill('SIGKILL');
  await ended;
  proxy.closeAllConnections();
  proxy.close();
  return transaction;
}
async function land(transaction) {
  const { status, hash } = await (await provider.broadcastTransaction(transaction)).wait();
  assert.equal(status, 1);
  const [event] = await registry.queryFilter(registry.filters.InstanceRenewed(), 0).then((all) => all.filter(({ transactionHash }) => transactionHash === hash));
  return event.args.renewed;
}

let second;

test('a renewal that arrived after it was given up is found on the chain before another is made', async () => {
  const transaction = await renewAndLoseSight();
  await mine(GIVEN_UP_AFTER + 4);
  second = await land(transaction);
  assert.deepEqual([await standing(first), await standing(second)], [RENEWED, ACTIVE]);
  assert.equal(await answeredBy(), first, 'nobody has told the host yet');
  const { renewed } = await succeed(...renewal(node.ready.http, 1));
  assert.deepEqual(renewed, [second], 'no other was made');
  assert.equal(await answeredBy(), second);
});

test('one that arrives when the next is already made is what the next renews', async () => {
  const given_up = await renewAndLoseSight();
  await mine(GIVEN_UP_AFTER + 4);
  // The host forgets the first of the two, and can sign under it no more.
  await renewAndLoseSight();
  const third = await land(given_up);
  assert.deepEqual([await standing(second), await standing(third)], [RENEWED, ACTIVE]);
  assert.equal(await answeredBy(), second);

  const { renewed: [fourth] } = await succeed(...renewal(node.ready.http));
  assert.notEqual(fourth, third);
  assert.equal(await registry.renewalOf(fourth), third);
  assert.deepEqual([await standing(second), await standing(third), await standing(fourth)], [RETIRED, RENEWED, ACTIVE]);
  assert.equal(await answeredBy(), fourth);
  assert.deepEqual(await succeed(...renewal(node.ready.http, 1)), { renewed: [], pending: [] });
  assert.equal((await registry.instance(fourth)).signer, (await registry.instance(first)).signer, 'the same keys all along');
});
