// Three administrators, two of whom must agree, rule a chain with nothing but `cryptlet policy` and `cryptlet registry`: each step says what
// was asked and how many approvals are missing, and what they decide is what registrations and calls meet.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, Wallet } from 'ethers';
import { cryptlet, fabricOf, root, rpc, run, start, succeed } from './support/node.mjs';
import { artifact } from './support/swap.mjs';

const PHRASE = Mnemonic.fromPhrase('test test test test test test test test test test test junk');
const [ann, bob, carol, publisher, stranger] = [0, 1, 2, 3, 4].map((index) => HDNodeWallet.fromMnemonic(PHRASE, `m/44'/60'/24'/0/${index}`));
const TOOLS = path.join(root, 'examples/equity-tools');
let folder, host, node, provider, client, cryptletId;
const inside = (name) => path.join(folder, name);

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  const members = [ann, bob, carol].flatMap(({ address }) => ['--administrator', address]);
  // No provider is accepted yet, and registrations count at once.
  const { code, stdout, stderr } = await run(cryptlet, [
    'genesis', '--chain-id', '4245', '--threshold', '2', ...members, '--auto-activate', '--fund', publisher.address, '--fund', stranger.address,
  ]);
  assert.equal(code, 0, stderr);
  await writeFile(inside('genesis.json'), stdout);
  host = await start(['host', '--datadir', inside('host'), '--listen', '127.0.0.1:0', '--descriptor-listen', '127.0.0.1:0']);
  await succeed('host', 'enroll', 'admin', '--operator', '--datadir', inside('host'), '--out', inside('admin.pem'));
  await succeed('host', 'enroll', 'node', '--datadir', inside('host'), '--out', inside('node.pem'));
  node = await start([
    'node', '--genesis', inside('genesis.json'), '--datadir', inside('node'), '--port', '0', ...fabricOf(host, inside('node.pem')),
  ]);
  provider = new JsonRpcProvider(node.ready.http, undefined, { polling: true, pollingInterval: 20, cacheTimeout: -1 });
});
after(async () => {
  provider?.destroy();
  await node?.stop();
  await host?.stop();
  await rm(folder, { recursive: true, force: true });
});

const at = () => ['--rpc-url', node.ready.http];
const as = (who) => ['--private-key', who.privateKey, ...at()];
const show = () => succeed('policy', 'show', '--genesis', inside('genesis.json'), ...at());
const explain = () => succeed('registry', 'explain', cryptletId, ...at());
/** What a person reads. */
async function read(...args) {
  const { code, stdout, stderr } = await run(cryptlet, args);
  assert.equal(code, 0, `${args.join(' ')}\n${stderr}`);
  return stdout;
}
async function refuse(pattern, ...args) {
  const { code, stderr } = await run(cryptlet, args);
  assert.notEqual(code, 0, args.join(' '));
  assert.match(stderr, pattern);
}
/** Two of three have it done, each with the very same command. */
async function decide(...words) {
  const first = await succeed(...words, ...as(ann));
  assert.deepEqual([first.done, first.missing], [false, 1]);
  const second = await succeed(...words, ...as(bob));
  assert.deepEqual([second.done, second.missing, second.vote.proposal], [true, 0, first.vote.proposal]);
  return second;
}
const register = () => run(cryptlet, ['register', TOOLS, ...fabricOf(host, inside('admin.pem')), ...as(publisher), '--json']);
const movingAverage = async () => (await (await client.movingAverage([10n, 20n, 30n], 2)).wait()).status;

test('the policy of a new chain is shown in full, with all who rule it', async () => {
  const policy = await show();
  assert.equal(policy.version, (await show()).version);
  assert.deepEqual(policy.providers.filter(({ accepted }) => accepted), []);
  assert.deepEqual([policy.minimumIsolation, policy.activatesAutomatically, policy.endorsersListedOnly], ['process', true, false]);
  const { council } = policy.administration;
  assert.deepEqual([council.threshold, council.members], [2, 3]);
  assert.deepEqual(council.known.map((address) => address.toLowerCase()).sort(), [ann, bob, carol].map(({ address }) => address.toLowerCase()).sort());
  // Without the genesis file the chain cannot name those who never acted, and says how many there are.
  assert.match(await read('policy', 'show', ...at()), /2 of 3 must approve\n {4}and 3 who never acted/);
});

test('a host whose provider nobody has accepted is refused, after one approval too, and not after two', async () => {
  const refused = await register();
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /ProviderNotAccepted/);

  const step = await read('policy', 'set', 'provider', 'software', 'accepted', ...as(ann));
  assert.match(step, new RegExp(`asked: accept evidence of provider software\nby: {4}${ann.address}\n`));
  assert.match(step, /proposal 0 has 1 of 2 approvals; 1 is missing: `cryptlet policy approve 0` by another administrator/);
  assert.doesNotMatch(step, /done/);
  const stillRefused = await register();
  assert.notEqual(stillRefused.code, 0);

  await refuse(/has approved proposal 0 already/, 'policy', 'set', 'provider', 'software', 'accepted', ...as(ann));
  await refuse(/is no administrator of this chain/, 'policy', 'approve', '0', ...as(stranger));
  await refuse(/there is no proposal 7: 1 were ever made/, 'policy', 'approve', '7', ...as(bob));
  const [open] = await succeed('policy', 'proposals', ...at());
  assert.deepEqual([open.state, open.by, open.approvedBy, open.missing], ['open', ann.address.toLowerCase(), [ann.address.toLowerCase()], 1]);
  assert.equal(open.asked, 'accept evidence of provider software');

  const decided = await read('policy', 'approve', '0', ...as(bob));
  assert.match(decided, /proposal 0 has 2 of 2 approvals\ndone: {2}in block \d+; it holds from the next block on/);
  await refuse(/ProposalOver/, 'policy', 'approve', '0', ...as(carol));
  const { code, stdout, stderr } = await register();
  assert.equal(code, 0, stderr);
  ({ cryptletId } = JSON.parse(stdout));
  assert.equal((await explain()).callable, true);
  const { abi, bytecode } = artifact('StockClient');
  const nobody = `0x${'00'.repeat(20)}`;
  client = await new ContractFactory(abi, bytecode, new Wallet(stranger.privateKey, provider)).deploy(cryptletId, nobody, nobody);
  await client.waitForDeployment();
  assert.equal(await movingAverage(), 1);
});

test('where measurements must be listed, one counts after two approvals and not after one', async () => {
  const { instances: [instance] } = await rpc(node.ready.http, 'cryptlet_getCryptlet', [cryptletId]);
  await decide('policy', 'set', 'measurements', 'software', 'listed');
  assert.equal((await explain()).instances[0].setting, 'CryptletPolicy.measurementListing');
  await succeed('policy', 'set', 'measurement', 'software', instance.measurement, 'listed', ...as(carol));
  assert.equal((await explain()).callable, false, 'after one approval');
  await succeed('policy', 'set', 'measurement', 'software', instance.measurement, 'listed', ...as(ann));
  assert.equal((await explain()).callable, true, 'after two');
  const { providers: [software] } = await show();
  assert.deepEqual(software.measurements, [{ measurement: instance.measurement, listing: 'listed' }]);
  assert.equal(software.measurementsListedOnly, true);
});

test('an approval can be taken back', async () => {
  const { vote: { proposal } } = await succeed('policy', 'set', 'isolation', 'vm', ...as(ann));
  assert.deepEqual((await succeed('policy', 'withdraw', `${proposal}`, ...as(ann))).missing, 2);
  await refuse(/NotApproved/, 'policy', 'withdraw', `${proposal}`, ...as(ann));
  const approved = await succeed('policy', 'confirm', `${proposal}`, ...as(bob));
  assert.deepEqual([approved.done, approved.missing], [false, 1]);
  assert.equal((await show()).minimumIsolation, 'process');
  await succeed('policy', 'withdraw', `${proposal}`, ...as(bob));
});

test('every setting is shown as it was made', async () => {
  const endorser = stranger.address;
  await decide('policy', 'set', 'tcb', 'out-of-date', 'tolerated');
  await decide('policy', 'set', 'endorser', endorser, 'listed');
  await decide('policy', 'set', 'versions', 'wasm', '0.0.1', '99.0.0');
  await decide('policy', 'set', 'key-lifetime', '5000');
  await decide('policy', 'set', 'rotation-grace', '12');
  await decide('policy', 'set', 'activation', 'by-administrators');
  await decide('registry', 'operator', stranger.address, 'approved');
  const policy = await show();
  assert.deepEqual(policy.toleratedTcb, ['out-of-date']);
  assert.deepEqual(policy.endorsers, [{ endorser: endorser.toLowerCase(), listing: 'listed' }]);
  assert.deepEqual(policy.versions.find(({ container }) => container === 'wasm'), { container: 'wasm', minimum: '0.0.1', maximum: '99.0.0' });
  assert.deepEqual([policy.keyLifetimeBlocksMax, policy.rotationGraceBlocksMax, policy.activatesAutomatically], [5000, 12, false]);
  assert.deepEqual(policy.hostOperators, [stranger.address.toLowerCase()]);
  const text = await read('policy', 'show', ...at());
  assert.match(text, /software {5}accepted, listed measurements only\n {4}0x[0-9a-f]{64} listed/);
  assert.match(text, /wasm {9}versions 0\.0\.1 to 99\.0\.0/);
  // A proposal is not tried before it is approved: the last approval is what fails.
  const wrong = ['policy', 'set', 'versions', 'wasm', '2.0.0', '1.0.0'];
  await succeed(...wrong, ...as(ann));
  await refuse(/InvalidVersions/, ...wrong, ...as(bob));
  await refuse(/no setting with its value/, 'policy', 'set', 'colour', 'red', ...as(ann));
});

test('a revoked provider stops calls, with the reason on the chain, and accepting it again lets them go on', async () => {
  const words = ['policy', 'revoke', 'provider', 'software', '--reason', 'a leak'];
  const asked = await succeed(...words, ...as(bob));
  assert.equal(asked.asked, 'revoke provider software, with the reason "a leak"');
  assert.equal(await movingAverage(), 1, 'one approval is not enough');
  await succeed(...words, ...as(carol));
  const why = await explain();
  assert.deepEqual([why.callable, why.instances[0].setting], [false, 'CryptletPolicy.acceptedProviders']);
  await assert.rejects(movingAverage());
  await decide('policy', 'set', 'provider', 'software', 'accepted');
  assert.equal(await movingAverage(), 1);
});

test('a publisher suspends its cryptlet alone; the administrators do by a vote, and then only they let it be called', async () => {
  const alone = await succeed('registry', 'suspend', cryptletId, ...as(publisher));
  assert.deepEqual([alone.done, alone.vote], [true, undefined]);
  await assert.rejects(movingAverage());
  await succeed('registry', 'resume', cryptletId, ...as(publisher));
  assert.equal(await movingAverage(), 1);
  await decide('registry', 'suspend', cryptletId);
  await refuse(/NotAdmin/, 'registry', 'resume', cryptletId, ...as(publisher));
  await decide('registry', 'resume', 'equity-tools');
  assert.equal(await movingAverage(), 1);
  const [instance] = (await explain()).instances;
  await refuse(/this is about the whole cryptlet/, 'registry', 'suspend', instance.registrationId, ...as(publisher));
  await decide('registry', 'revoke', instance.registrationId, '--reason', 'stolen');
  assert.equal((await explain()).instances[0].status, 'revoked');
});

test('administrators change themselves, which voids what was open', async () => {
  const open = await succeed('policy', 'set', 'isolation', 'enclave', ...as(carol));
  await decide('policy', 'administrators', '--add', stranger.address, '--remove', carol.address, '--threshold', '3');
  await refuse(/is no administrator/, 'policy', 'set', 'isolation', 'vm', ...as(carol));
  await refuse(/ProposalOver/, 'policy', 'approve', `${open.vote.proposal}`, ...as(bob));
  const all = await succeed('policy', 'proposals', '--all', ...at());
  assert.equal(all.find(({ proposal }) => proposal === open.vote.proposal).state, 'void');
  assert.deepEqual(await succeed('policy', 'proposals', ...at()), []);
  const { council } = (await show()).administration;
  assert.deepEqual([council.threshold, council.members], [3, 3]);
  assert.ok(council.known.includes(stranger.address.toLowerCase()));
  assert.ok(!council.known.includes(carol.address.toLowerCase()));
  await refuse(/InvalidThreshold/, 'policy', 'approve', await last('administrators', '--threshold', '9'), ...as(stranger));
});

test('the council hands policy and registry over, and whoever was named decides alone after accepting', async () => {
  await refuse(/neither registry nor policy was handed over/, 'policy', 'accept', ...as(carol));
  for (const [index, member] of [ann, bob, stranger].entries()) {
    const asked = await succeed('policy', 'hand-over', carol.address, ...as(member));
    assert.deepEqual(asked.map(({ missing }) => missing), [2 - index, 2 - index]);
  }
  const { administration } = await show();
  assert.equal(administration.pending, carol.address.toLowerCase());
  assert.deepEqual((await succeed('policy', 'accept', ...as(carol))).map(({ asked }) => asked), [
    'become administrator of the policy', 'become administrator of the registry',
  ]);
  const { done, vote } = await succeed('policy', 'set', 'isolation', 'vm', ...as(carol));
  assert.deepEqual([done, vote], [true, undefined]);
  assert.equal((await show()).minimumIsolation, 'vm');
  await refuse(/the administrator of 0x.* is 0x/, 'policy', 'set', 'isolation', 'none', ...as(ann));
});

/** Proposes with two of the three that are now needed, and gives the number. */
async function last(...words) {
  const { vote: { proposal } } = await succeed('policy', ...words, ...as(ann));
  await succeed('policy', ...words, ...as(bob));
  return `${proposal}`;
}
