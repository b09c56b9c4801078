// The life of a registration on a consortium's chain: signed with keys of a vault and sent by somebody else, activated by two of three,
// renewed and rotated before its time is over, refused in a version that is not accepted, and judged by an auditor all along.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, Wallet } from 'ethers';
import { audit, cryptlet, fabricOf, root, rpc, run, start, succeed } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const REGISTRY = '0x000000000000000000000000000000000000cd01';
const POLICY = '0x000000000000000000000000000000000000cd02';
const COUNCIL = '0x000000000000000000000000000000000000cd04';
const PHRASE = Mnemonic.fromPhrase('test test test test test test test test test test test junk');
const [ann, bob, carol, relayer, stranger] = [0, 1, 2, 3, 4].map((index) => HDNodeWallet.fromMnemonic(PHRASE, `m/44'/60'/24'/0/${index}`));
const LIFETIME = 60;
let folder, host, node, provider, sender, registry, client, cryptletId;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  const members = [ann, bob, carol].flatMap(({ address }) => ['--administrator', address]);
  const { code, stdout, stderr } = await run(cryptlet, [
    'genesis', '--chain-id', '4244', '--accept', 'software', '--threshold', '2', ...members, '--fund', relayer.address,
    '--fund', stranger.address,
  ]);
  assert.equal(code, 0, stderr);
  await writeFile(inside('genesis.json'), stdout);
  host = await start([
    'host', '--datadir', inside('host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0',
    '--key-lifetime-blocks', `${LIFETIME}`,
  ]);
  await succeed('host', 'enroll', 'admin', '--operator', '--datadir', inside('host'), '--out', inside('admin.pem'));
  await succeed('host', 'enroll', 'node', '--datadir', inside('host'), '--out', inside('node.pem'));
  node = await start(['node', '--genesis', inside('genesis.json'), '--datadir', inside('node'), '--port', '0', ...fabric('node.pem')]);
  provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  sender = new Wallet(relayer.privateKey, provider);
  registry = new Contract(REGISTRY, artifact('CryptletRegistry').abi, provider);
});
after(async () => {
  provider?.destroy();
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const fabric = (identity) => fabricOf(host, inside(identity));
const at = () => ['--rpc-url', node.ready.http];
const keys = () => ['--keys', inside('keys')];
const relayed = () => [...keys(), '--sender-key', relayer.privateKey];
/** With the cryptlet's identity key, found in the vault by its registration address. */
const byIdentityKey = () => ['--key', cryptletId, ...relayed()];

async function refuse(pattern, ...args) {
  const { code, stderr } = await run(cryptlet, args);
  assert.notEqual(code, 0, args.join(' '));
  assert.match(stderr, pattern);
}
const explain = () => succeed('registry', 'explain', cryptletId, ...at());
const activate = (id, member) => succeed('registry', 'activate', id, ...at(), '--private-key', member.privateKey);

/** Calls the cryptlet in a transaction, and gives the record. */
async function call() {
  const receipt = await (await client.movingAverage([10n, 20n, 30n], 2)).wait();
  assert.equal(receipt.status, 1);
  const { records } = await rpc(node.ready.http, 'cryptlet_getRecords', [receipt.hash]);
  assert.equal(records.length, 1);
  return records[0];
}
async function mine(blocks) {
  for (let left = blocks; left > 0; left -= 1) await (await sender.sendTransaction({ to: stranger.address, value: 1n })).wait();
}
async function exportChain(name) {
  const file = inside(name);
  await succeed('export', file, ...at());
  return file;
}
/** Two of three have it done. */
async function decide(target, data) {
  const council = new Contract(COUNCIL, artifact('Administrators').abi, new Wallet(ann.privateKey, provider));
  const id = await council.proposalCount();
  await (await council.propose(target, data)).wait();
  await (await council.connect(new Wallet(bob.privateKey, provider)).approve(id)).wait();
}

let first;

test('a publisher without ether registers with a key of a vault, and the instance waits', async () => {
  const { address: publisher } = await succeed('key', 'new', 'publisher', ...keys());
  await refuse(/has a key account\/publisher already/, 'key', 'new', 'publisher', ...keys());
  await refuse(/has no key account\/nobody/, 'register', path.join(root, 'examples/equity-tools'), ...at(), '--key', 'nobody', ...keys());
  assert.equal(await provider.getBalance(publisher), 0n);
  const registered = await succeed(
    'register', path.join(root, 'examples/equity-tools'), ...at(), ...fabric('admin.pem'), '--key', 'publisher', ...relayed(),
  );
  assert.deepEqual([registered.active, registered.pending.length], [[], 1]);
  cryptletId = registered.cryptletId;
  [first] = registered.pending;

  const entry = await rpc(node.ready.http, 'cryptlet_getCryptlet', [cryptletId]);
  assert.equal(entry.publisher, publisher.toLowerCase());
  const { address: identity } = await succeed('key', 'show', cryptletId, ...keys());
  assert.equal(entry.identityKey, identity.toLowerCase());
  assert.notEqual(identity, publisher);
  // Asked again, it is the same instance, and it waits still.
  const again = await succeed(
    'register', path.join(root, 'examples/equity-tools'), ...at(), ...fabric('admin.pem'), '--key', 'publisher', ...relayed(),
  );
  assert.deepEqual(again, registered);
  const [instance] = entry.instances;
  assert.deepEqual([instance.status, instance.isActive, instance.container], ['pending', false, 'wasm']);
  assert.match(instance.version, /^\d+\.\d+\.\d+$/);
});

test('what waits is listed, explained, not called, and in the auditor\'s eyes neither good nor bad', async () => {
  const [line] = await succeed('registry', 'list', ...at());
  assert.deepEqual([line.pending, line.instances, line.callable], [1, 0, false]);
  const { stdout } = await run(cryptlet, ['registry', 'explain', cryptletId, ...at()]);
  assert.match(stdout, /cannot be called .*none of its instances counts/);
  assert.match(stdout, /waits to be activated \(setting: CryptletPolicy\.isActivationAutomatic; `cryptlet registry activate`\)/);
  await refuse(/refused the call: NoAcceptedInstance/, 'invoke', cryptletId, 'movingAverage(uint256[],uint32)(uint256[])', '[10,20,30]', '2', ...at());
  const { code, stdout: report } = await run(cryptlet, ['audit', await exportChain('waiting.cryptlet'), '--json']);
  assert.equal(code, 0);
  const [{ then, now, activatedBlock, registrar }] = JSON.parse(report).registrations;
  assert.deepEqual([then.standing, now.standing, now.reason, activatedBlock], ['holds', 'pending', 'nobody has activated it', null]);
  assert.equal(registrar, (await succeed('key', 'show', 'publisher', ...keys())).address.toLowerCase());
});

test('two of three administrators activate it, and it is called from the next block on', async () => {
  await refuse(/is no administrator of this chain/, 'registry', 'activate', first, ...at(), '--private-key', stranger.privateKey);
  const [proposed] = await activate(first, ann);
  assert.deepEqual([proposed.active, proposed.vote.approvals, proposed.vote.needed], [false, 1, 2]);
  await refuse(/has approved proposal 0 already/, 'registry', 'activate', first, ...at(), '--private-key', ann.privateKey);
  assert.equal((await explain()).callable, false);
  const [decided] = await activate(cryptletId, bob);
  assert.deepEqual([decided.registrationId, decided.active, decided.vote.approvals], [first, true, 2]);
  await refuse(/does not wait to be activated: it is Active/, 'registry', 'activate', first, ...at(), '--private-key', ann.privateKey);
  assert.equal((await explain()).callable, true);

  const { abi, bytecode } = artifact('StockClient');
  const nobody = `0x${'00'.repeat(20)}`;
  client = await new ContractFactory(abi, bytecode, sender).deploy(cryptletId, nobody, nobody);
  await client.waitForDeployment();
  assert.equal((await call()).result.registrationId, first);
});

test('a registration that anybody altered or sends a second time is refused', async () => {
  const receipt = (await registry.queryFilter(registry.filters.InstanceAuthorized(first), 0))[0];
  const { data } = await provider.getTransaction(receipt.transactionHash);
  const interface_ = registry.interface;
  const [created, authorization] = interface_.decodeFunctionData('registerInstance', data);
  const send = (changedCreated, changedAuthorization) =>
    sender.call({ to: REGISTRY, data: interface_.encodeFunctionData('registerInstance', [changedCreated, changedAuthorization]) });
  const name = async (attempt) => {
    const error = await attempt.then(() => assert.fail('it was accepted'), (error) => error);
    return interface_.parseError(error.data)?.name;
  };
  assert.equal(await name(send(created, authorization)), 'InstanceExists');
  const later = { ...created.toObject(), notAfterBlock: created.notAfterBlock + 1n };
  assert.equal(await name(send(later, authorization)), 'InvalidAuthorization');
  const [registrar, deadline, signature] = authorization;
  assert.equal(await name(send(later, { registrar, deadlineBlock: deadline + 1n, signature })), 'InvalidAuthorization');
  assert.equal(await name(send(later, { registrar: relayer.address, deadlineBlock: deadline, signature })), 'NotRegistrar');
  assert.equal(await name(send(later, { registrar, deadlineBlock: 0n, signature })), 'AuthorizationExpired');
});

test('the host renews it with the identity key before its time is over, and calls go on after it', async () => {
  const operate = ['host', 'renew', '--datadir', inside('host'), ...at(), ...byIdentityKey()];
  assert.deepEqual(await succeed(...operate, '--within', '1'), { renewed: [], pending: [] });
  const { renewed: [second], pending } = await succeed(...operate, '--within', '1000');
  assert.deepEqual(pending, [], 'nothing but the dates has changed');
  assert.notEqual(second, first);
  assert.equal(await registry.renewalOf(second), first);
  assert.equal((await call()).result.registrationId, second);
  const { instances } = await explain();
  assert.deepEqual(instances.map(({ status, counts }) => [status, counts]), [['active', true], ['renewed', true]]);
  assert.equal(instances[0].signer, instances[1].signer);

  const { notAfterBlock } = await registry.instance(first);
  await mine(Number(notAfterBlock) - await provider.getBlockNumber());
  assert.equal((await explain()).instances[1].counts, false, 'its time is over');
  assert.equal((await call()).result.registrationId, second);
});

test('a loop renews it by itself', async () => {
  const before = (await explain()).instances[0].registrationId;
  const loop = await start([
    'host', 'renew', '--datadir', inside('host'), ...at(), ...byIdentityKey(), '--within', '1000', '--watch', '1',
  ]);
  try {
    const [renewed] = loop.ready.renewed;
    assert.equal(await registry.renewalOf(renewed), before);
    assert.equal((await call()).result.registrationId, renewed);
  } finally {
    assert.equal(await loop.stop('SIGINT'), 0);
  }
});

test('keys that were rotated wait for the administrators while the old ones count, and then have their grace', async () => {
  const old = (await explain()).instances[0].registrationId;
  const rotated = await succeed(
    'host', 'rotate', '--instances', '--grace-blocks', '20', '--datadir', inside('host'), ...at(), ...byIdentityKey(),
  );
  assert.deepEqual([rotated.rotated, rotated.pending.length], [0, 1]);
  assert.equal((await call()).result.registrationId, old, 'nobody has decided yet');
  for (const member of [carol, ann]) await activate(rotated.pending[0], member);
  assert.equal((await call()).result.registrationId, old, 'within the grace, and the host has not been told');
  const told = await succeed('host', 'renew', '--datadir', inside('host'), ...at(), ...byIdentityKey(), '--within', '1');
  assert.deepEqual(told.renewed, rotated.pending);
  const record = await call();
  assert.deepEqual([record.result.registrationId, record.result.keyEpoch], [rotated.pending[0], 2]);
  const { stdout } = await run(cryptlet, ['registry', 'explain', cryptletId, ...at()]);
  assert.match(stdout, /counts: its keys were rotated out by epoch 2, with grace until block \d+/);
});

test('a version of the fabric that is no longer accepted stops calls, and the auditor says: valid then, bad now', async () => {
  const policy = new Contract(POLICY, artifact('CryptletPolicy').abi, provider);
  const accept = (minimum) => decide(POLICY, policy.interface.encodeFunctionData('setAcceptedVersions', [1, minimum, 0]));
  await accept(99_000_000);
  const why = await explain();
  assert.equal(why.callable, false);
  assert.equal(why.instances[0].setting, 'CryptletPolicy.acceptedVersions');
  assert.match(why.instances[0].reason, /runs in version \d+\.\d+\.\d+ of the fabric; .* accepts 99\.0\.0 and later/);
  const report = await run(audit, ['audit', await exportChain('refused.cryptlet'), '--json']);
  assert.equal(report.code, 2, report.stderr);
  const { badThen, registrations } = JSON.parse(report.stdout);
  assert.equal(badThen, 0);
  assert.match(registrations[0].now.reason, /runs in version .*; the policy accepts 99\.0\.0 and later/);
  await refuse(
    /VersionNotAccepted/, 'host', 'rotate', '--instances', '--datadir', inside('host'), ...at(), ...byIdentityKey(),
  );
  await accept(0);
  assert.equal((await explain()).callable, true);
});

test('whoever replays the chain without host or network comes to the same state', async () => {
  const file = await exportChain('chain.cryptlet');
  const head = await rpc(node.ready.http, 'eth_getBlockByNumber', ['latest', false]);
  const { code, stdout, stderr } = await run('unshare', ['--map-root-user', '--net', audit, 'replay', file, '--json']);
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).stateRoot, head.stateRoot);
  const report = await run(cryptlet, ['audit', file]);
  assert.equal(report.code, 0, report.stdout + report.stderr);
});
