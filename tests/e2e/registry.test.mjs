// What the registry's and auditor's commands say while an administrator revokes a provider and takes it back, and a chain that is
// ruled by two of three.
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Contract, HDNodeWallet, JsonRpcProvider, Mnemonic, Wallet } from 'ethers';
import { audit, cryptlet, root, rpc, run, start, startDevNode } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const POLICY = '0x000000000000000000000000000000000000cd02';
const COUNCIL = '0x000000000000000000000000000000000000cd04';
const MNEMONIC = 'test test test test test test test test test test test junk';
const SOFTWARE = 1;
let folder, node, provider, policy;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  node = await startDevNode('--datadir', inside('chain'));
  provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  // The operator of a development chain is the account after the ten funded ones.
  const operator = HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), "m/44'/60'/0'/0/10").connect(provider);
  policy = new Contract(POLICY, artifact('CryptletPolicy').abi, operator);
});
after(async () => {
  provider?.destroy();
  await node?.stop();
  await rm(folder, { recursive: true, force: true });
});

const registry = async (...args) => {
  const { code, stdout, stderr } = await run(cryptlet, ['registry', ...args, '--rpc-url', node.ready.http]);
  assert.equal(code, 0, stderr);
  return stdout;
};
const explain = async (id) => JSON.parse(await registry('explain', id, '--json'));
const invoke = () => run(cryptlet, [
  'invoke', 'equity-tools', 'movingAverage(uint256[],uint32)(uint256[])', '[10,20,30]', '2', '--rpc-url', node.ready.http,
]);

test('the list, one entry and an explanation agree that a cryptlet can be called', async () => {
  const list = JSON.parse(await registry('list', '--json'));
  const line = list.find(({ name }) => name === 'equity-tools');
  assert.equal(line.cryptletId, node.ready.cryptlets['equity-tools']);
  assert.deepEqual([line.callable, line.status, line.kind, line.instances], [true, 'active', 'utility', 1]);
  const entry = JSON.parse(await registry('show', 'equity-tools', '--json'));
  assert.equal(entry.instances[0].isActive, true);
  assert.match(await registry('show', 'equity-tools'), /keyEpoch\s+1/);
  const why = await explain('equity-tools');
  assert.equal(why.callable, true);
  const [instance] = (await explain(entry.instances[0].registrationId)).instances;
  assert.equal(instance.registrationId, entry.instances[0].registrationId);
  assert.match(await registry('explain', 'equity-tools'), /^equity-tools can be called in block \d+\.\nInstance 0x.* counts: /);
  assert.match(await registry('list'), /equity-tools .* callable/);
  const missing = await run(cryptlet, ['registry', 'explain', `0x${'11'.repeat(32)}`, '--rpc-url', node.ready.http]);
  assert.notEqual(missing.code, 0);
  assert.match(missing.stderr, /neither a cryptlet nor an instance/);
});

test('a revoked provider stops calls, and the explanation names the setting', async () => {
  assert.equal((await invoke()).code, 0);
  await (await policy.revokeProvider(SOFTWARE, 'production begins')).wait();
  const why = await explain('equity-tools');
  assert.equal(why.callable, false);
  assert.equal(why.instances[0].setting, 'CryptletPolicy.acceptedProviders');
  const text = await registry('explain', 'equity-tools');
  assert.match(text, /cannot be called .*none of its instances counts/);
  assert.match(text, /provider 1, which the policy does not accept \(setting: CryptletPolicy\.acceptedProviders\)/);
});

test('an auditor says of the exported chain: valid then, bad now, and why', async () => {
  const file = inside('chain.cryptlet');
  const exported = await run(cryptlet, ['export', '--rpc-url', node.ready.http, file]);
  assert.equal(exported.code, 0, exported.stderr);
  for (const [program, first] of [[cryptlet, 'audit'], [audit, 'audit']]) {
    const { code, stdout, stderr } = await run(program, [first, file, '--json']);
    assert.equal(code, 2, stderr);
    const answer = JSON.parse(stdout);
    assert.equal(answer.badThen, 0);
    assert.ok(answer.badNow >= 2, stdout);
    const tools = answer.registrations.find(({ name }) => name === 'equity-tools');
    assert.equal(tools.then.standing, 'holds');
    assert.match(tools.now.reason, /provider was revoked by the policy in block \d+: "production begins"/);
  }
  const table = await run(cryptlet, ['audit', file]);
  assert.match(table.stdout, /equity-tools .* holds +BAD/);
});

test('what is accepted again can be called again', async () => {
  await (await policy.setProviderAccepted(SOFTWARE, true)).wait();
  assert.equal((await explain('equity-tools')).callable, true);
  assert.equal((await invoke()).code, 0);
});

test('where activation is not automatic the administrator activates by name, and what was revoked while it waited never counts', async () => {
  await (await policy.setActivationAutomatic(false)).wait();
  const folders = ['one', 'two'].map(inside);
  for (const [index, copy] of folders.entries()) {
    await cp(path.join(root, 'examples/equity-tools'), copy, { recursive: true });
    const config = JSON.parse(await readFile(path.join(copy, 'config.json'), 'utf8'));
    await writeFile(path.join(copy, 'config.json'), JSON.stringify({ ...config, name: `waiting-${index}` }));
    const { code, stdout, stderr } = await run(cryptlet, ['register', copy, '--rpc-url', node.ready.http]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /waits to be activated: cryptlet registry activate 0x[0-9a-f]{64}/);
  }
  assert.equal((await explain('waiting-0')).callable, false);
  assert.match(await registry('activate', 'waiting-0'), /^instance 0x[0-9a-f]{64} counts from the next block on\n$/);
  assert.equal((await explain('waiting-0')).callable, true);

  const operator = policy.runner;
  const chain = new Contract('0x000000000000000000000000000000000000cd01', artifact('CryptletRegistry').abi, operator);
  const [waiting] = (await explain('waiting-1')).instances;
  await (await chain.revokeInstance(waiting.registrationId, 'not our machine')).wait();
  const late = await run(cryptlet, ['registry', 'activate', waiting.registrationId, '--rpc-url', node.ready.http]);
  assert.notEqual(late.code, 0);
  assert.match(late.stderr, /does not wait to be activated: it is Revoked/);
  await (await policy.setActivationAutomatic(true)).wait();
});

test('a chain may be ruled by two of three from its first block on', async () => {
  const members = [0, 1, 2].map((index) => HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(MNEMONIC), `m/44'/60'/7'/0/${index}`));
  const named = members.flatMap(({ address }) => ['--administrator', address]);
  const asked = ['genesis', '--chain-id', '4243', '--accept', 'tdx', '--accept', 'tpm', '--minimum-isolation', 'vm', ...named];
  const impossible = await run(cryptlet, [...asked, '--threshold', '4']);
  assert.notEqual(impossible.code, 0);
  assert.match(impossible.stderr, /4 of 3 administrators cannot decide anything/);
  const { code, stdout, stderr } = await run(cryptlet, [...asked, '--threshold', '2']);
  assert.equal(code, 0, stderr);
  await writeFile(inside('genesis.json'), stdout);
  assert.equal(JSON.parse(stdout).alloc['0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266'], undefined, 'no account with a public key');

  const consortium = await start(['node', '--genesis', inside('genesis.json'), '--datadir', inside('consortium'), '--port', '0']);
  const there = new JsonRpcProvider(consortium.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
  try {
    const [ann, bob] = members.map(({ privateKey }) => new Wallet(privateKey, there));
    const rules = new Contract(POLICY, artifact('CryptletPolicy').abi, there);
    assert.equal((await rules.admin()).toLowerCase(), COUNCIL);
    assert.equal(await rules.acceptedProviders(), (1n << 3n) | (1n << 6n));
    const council = new Contract(COUNCIL, artifact('Administrators').abi, ann);
    assert.deepEqual([await council.threshold(), await council.memberCount()], [2n, 3n]);
    await assert.rejects(rules.connect(ann).setProviderAccepted(2, true), 'one alone');
    const data = rules.interface.encodeFunctionData('setProviderAccepted', [2, true]);
    await (await council.propose(POLICY, data)).wait();
    assert.equal(await rules.isProviderAccepted(2), false);
    await (await council.connect(bob).approve(0)).wait();
    assert.equal(await rules.isProviderAccepted(2), true);
    assert.equal(await rpc(consortium.ready.http, 'eth_chainId'), '0x1093');
  } finally {
    there.destroy();
    await consortium.stop();
  }
});
