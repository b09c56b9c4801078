// What an operator asks of a running host: status, drain, rotate, metrics, and keys in a PKCS#11 token.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Interface } from 'ethers';
import { cryptlet, fabricOf, rpc, run, start, succeed } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const tools = new Interface(artifact('StockClient').abi);
const MODULE = '/usr/lib/softhsm/libsofthsm2.so';
let folder, host, node, number = 0n;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  host = await start([
    'host', '--datadir', inside('host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0', '--metrics', '127.0.0.1:0',
  ]);
  for (const [name, ...flags] of [['operator', '--operator'], ['caller']]) {
    await succeed('host', 'enroll', name, '--datadir', inside('host'), '--out', inside(`${name}.pem`), ...flags);
  }
  node = await start([
    'node', '--dev', '--port', '0', '--datadir', inside('node'), '--parked-block-interval-ms', '100', '--host-patience-ms', '60000',
    ...fabric('operator'),
  ]);
});
after(async () => {
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const fabric = (identity) => fabricOf(host, inside(`${identity}.pem`));

const operate = (verb, ...flags) => succeed('host', verb, '--datadir', inside('host'), ...flags);

const call = () => rpc(node.ready.http, 'eth_sendTransaction', [{
  from: node.ready.accounts[3].address, to: node.ready.contracts.StockClient,
  data: tools.encodeFunctionData('movingAverage', [[10n, 20n, number += 1n], 2]), gas: '0x100000',
}]);

async function receiptOf(hash) {
  for (;;) {
    const receipt = await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]);
    if (receipt) return receipt;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('status says what a host is, by its socket and from elsewhere', async () => {
  const near = await operate('status');
  assert.equal(near.address, host.ready.address.toLowerCase());
  assert.equal(near.isServing, true);
  assert.equal(near.domain.chainId, node.ready.chainId);
  assert.match(near.vault, /^age file/);
  assert.ok(near.certificateExpires > Date.now() / 1000);
  assert.ok(near.cryptlets.length > 1 && near.cryptlets.every(({ instances }) => instances.length > 0));
  const far = await succeed('host', 'status', ...fabric('operator'));
  assert.deepEqual(far.cryptlets, near.cryptlets);
  const refused = await run(cryptlet, ['host', 'status', ...fabric('caller')]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /operator/);
  assert.equal((await stat(inside('host/host.sock'))).mode & 0o777, 0o600);
  const nowhere = await run(cryptlet, ['host', 'status', '--datadir', inside('nowhere')]);
  assert.match(nowhere.stderr, /no host runs/);
});

test('a drained host takes no new calls, and a transaction waits until it does again', async () => {
  assert.equal((await receiptOf(await call())).status, '0x1');
  const drained = await operate('drain');
  assert.deepEqual([drained.isDraining, drained.isServing, drained.callsRunning], [true, false, 0]);
  const hash = await call();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(await rpc(node.ready.http, 'eth_getTransactionReceipt', [hash]), null);
  assert.equal((await operate('status')).isDraining, true);
  assert.equal((await operate('drain', '--cancel')).isDraining, false);
  assert.equal((await receiptOf(hash)).status, '0x1');
});

test('rotating the certificate disturbs nobody', async () => {
  const [first, second] = [await operate('rotate'), await operate('rotate')];
  assert.match(first.fingerprint, /^0x[0-9a-f]{64}$/);
  assert.notEqual(first.fingerprint, second.fingerprint);
  assert.equal((await receiptOf(await call())).status, '0x1');
  assert.equal((await succeed('host', 'status', ...fabric('operator'))).address, host.ready.address.toLowerCase());
});

test('rotating the instances gives each the next key epoch, on the chain too', async () => {
  const epochs = ({ cryptlets }) => cryptlets.map(({ instances }) => instances.map(({ keyEpoch }) => keyEpoch));
  // Every instance is on the chain; one that has not answered a call yet is not known to be.
  const before = await operate('status');
  const { rotated } = await operate('rotate', '--instances', '--rpc-url', node.ready.http);
  assert.ok(rotated > 0);
  const after = await operate('status');
  assert.notDeepEqual(epochs(after), epochs(before));
  assert.ok(after.cryptlets.every(({ instances }) => instances.length === 1), JSON.stringify(after.cryptlets));
  assert.equal((await receiptOf(await call())).status, '0x1');
});

test('metrics count the calls', async () => {
  const page = await (await fetch(host.ready.metrics)).text();
  const value = (line) => Number(page.split('\n').find((found) => found.startsWith(line))?.split(' ')[1]);
  assert.ok(value('cryptlet_host_calls_total{outcome="Answered"}') > 3);
  assert.ok(value('cryptlet_host_calls_total{outcome="Overloaded"}') > 0);
  assert.equal(value('cryptlet_host_draining'), 0);
  assert.match(page, /# EOF\n$/);
  assert.equal((await fetch(new URL('/', host.ready.metrics))).status, 404);
});

const skip = existsSync(MODULE) ? false : 'SoftHSM2 is not installed (scripts/setup installs it)';
test('a host keeps its key in a PKCS#11 token', { skip }, async () => {
  const env = { ...process.env, SOFTHSM2_CONF: inside('softhsm2.conf') };
  await mkdir(inside('tokens'));
  await writeFile(inside('softhsm2.conf'), `directories.tokendir = ${inside('tokens')}\n`);
  await writeFile(inside('pin'), '4711-canary\n', { mode: 0o600 });
  const token = ['--init-token', '--free', '--label', 'cryptlet', '--pin', '4711-canary', '--so-pin', '12345678'];
  assert.equal((await run('softhsm2-util', token, { env })).code, 0);
  process.env.SOFTHSM2_CONF = env.SOFTHSM2_CONF;
  const vault = ['--vault', `pkcs11:module=${MODULE};token=cryptlet;pin-file=${inside('pin')}`];
  const flags = ['host', '--datadir', inside('token-host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0', ...vault];
  const first = await start(flags);
  const status = await succeed('host', 'status', '--datadir', inside('token-host'));
  assert.match(status.vault, /PKCS#11 token "cryptlet"/);
  assert.ok(!existsSync(inside('token-host/vault.age')));
  await succeed('host', 'enroll', 'node', '--datadir', inside('token-host'), '--out', inside('token-node.pem'), ...vault);
  await first.stop();
  assert.ok(!first.log.join('\n').includes('4711'), 'the PIN is in no log');
  const second = await start(flags);
  assert.equal(second.ready.address, first.ready.address);
  await second.stop();
  delete process.env.SOFTHSM2_CONF;
  const wrong = await run(cryptlet, ['host', '--vault', 'pkcs11:token=x?pin-value=4711']);
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.stderr, /pin-file/);
  assert.ok(!wrong.stderr.includes('4711'));
});

test('the log of a host is JSON lines, and no key is in it', async () => {
  const lines = host.log.map((line) => JSON.parse(line));
  assert.ok(lines.some(({ fields }) => fields.message === 'made the door\'s certificate anew'));
  const passphrase = (await readFile(inside('host/passphrase'), 'utf8')).trim();
  assert.ok(!host.log.join('\n').includes(passphrase));
});
