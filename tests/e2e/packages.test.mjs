// Packages from folder to registry and back, as an author and an operator handle them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cryptlet, root, run, startDevNode } from './support/node.mjs';

const KEY = `0x${'46'.repeat(32)}`;
const PUBLISHER = '0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F'.toLowerCase();
const registryBinary = '/usr/bin/docker-registry';
const withRegistry = existsSync(registryBinary)
  ? {}
  : { skip: 'docker-registry is not on this machine (scripts/setup installs it)' };
let folder, registry, address;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'cryptlet-e2e-'));
  if (withRegistry.skip) return;
  const port = await freePort();
  address = `127.0.0.1:${port}`;
  const config = path.join(folder, 'registry.yml');
  await writeFile(config, JSON.stringify({
    version: 0.1, log: { level: 'error' }, http: { addr: address },
    storage: { filesystem: { rootdirectory: path.join(folder, 'registry') } },
  }));
  registry = spawn(registryBinary, ['serve', config], { stdio: 'ignore' });
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`http://${address}/v2/`).catch(() => undefined);
    if (answer?.ok) break;
    assert.ok(attempt < 200, 'the registry does not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});
after(async () => {
  registry?.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

function freePort() {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const layout = (name = 'layout') => ['--layout', path.join(folder, name)];
const example = (name) => path.join(root, 'examples', name);

async function json(...args) {
  const { code, stdout, stderr } = await run(cryptlet, ['package', ...args, '--json']);
  assert.equal(code, 0, stderr + stdout);
  return JSON.parse(stdout);
}

async function fails(...args) {
  const { code, stdout, stderr } = await run(cryptlet, ['package', ...args]);
  assert.notEqual(code, 0, stdout);
  return stdout + stderr;
}

test('the same files give the same digest, signed or not, wherever they lie', async () => {
  const one = await json('build', example('equity-tools'), ...layout());
  const copy = path.join(folder, 'copy');
  await cp(example('equity-tools'), copy, { recursive: true });
  const signed = await json('build', copy, '--private-key', KEY, ...layout('other'));
  assert.equal(one.digest, signed.digest);
  assert.deepEqual(one.publishers, []);
  assert.deepEqual(signed.publishers.map((publisher) => publisher.toLowerCase()), [PUBLISHER]);
  await writeFile(path.join(copy, 'header.sol'), '// changed');
  assert.notEqual((await json('build', copy, ...layout('other'))).digest, one.digest);
});

test('inspect shows digests, configuration, interface, signer, bill of materials and source', async () => {
  const built = await json('build', example('equity-tools'), '--private-key', KEY, '--source', example('equity-tools'), ...layout('shown'));
  for (const what of ['equity-tools', built.digest, built.ociDigest]) {
    const view = await json('inspect', what, ...layout('shown'));
    assert.equal(view.digest, built.digest);
    assert.equal(view.config.name, 'equity-tools');
    assert.deepEqual([view.kind, view.deterministic], ['wasm', true]);
    assert.deepEqual(view.publishers.map((publisher) => publisher.toLowerCase()), [PUBLISHER]);
    assert.equal(view.sbom.bomFormat, 'CycloneDX');
    assert.equal(view.source.state, 'included');
    assert.ok(view.header.includes('interface EquityTools'));
    assert.ok(view.profile.some((line) => line.startsWith('engine=wasmtime')));
    assert.equal(view.provenance[0].subject[0].digest.sha256, built.ociDigest.slice('sha256:'.length));
    const names = view.blobs.map(({ what }) => what);
    assert.deepEqual(names, ['config.json', 'code layer', 'header.sol', 'interface', 'bill of materials', 'source']);
  }
  const { stdout } = await run(cryptlet, ['package', 'inspect', example('hello-java')]);
  assert.match(stdout, /process, not deterministic/);
  assert.match(stdout, /closed source/);
  assert.match(stdout, /signed by +nobody/);
});

test('check tells an author what would be refused, and where', async () => {
  const good = await json('check', example('equity-tools'));
  assert.deepEqual([good.accepted, good.deterministic], [true, true]);
  const bad = path.join(folder, 'bad');
  await cp(example('hello-c'), bad, { recursive: true });
  const config = JSON.parse(await readFile(path.join(bad, 'config.json'), 'utf8'));
  await writeFile(path.join(bad, 'config.json'), JSON.stringify({ ...config, name: 'Bad Name', config: { isolation: 'yes' } }));
  const said = await fails('check', bad);
  assert.match(said, /lower-case/);
  assert.match(said, /config\.isolation/);
  assert.match(said, /would be refused/);
  await writeFile(path.join(bad, 'config.json'), JSON.stringify(config));
  await writeFile(path.join(bad, 'cryptlet.wasm'), Buffer.from('0061736d01000000', 'hex'));
  const report = JSON.parse((await run(cryptlet, ['package', 'check', bad, '--json'])).stdout);
  assert.equal(report.accepted, false);
  assert.deepEqual(report.findings.map(({ rule, severity }) => [rule, severity]), [['not-a-component', 'refusal']]);
  assert.ok(report.findings[0].advice.includes('wasm-component-ld'));
});

test('a package goes to a registry and comes back the same, with its signatures', withRegistry, async () => {
  const built = await json('build', example('hello-c'), '--private-key', KEY, ...layout());
  const place = `oci://${address}/team/hello-c`;
  await json('push', 'hello-c', `${place}:1.0`, ...layout());
  await json('push', 'hello-c', `${place}:1.0`, ...layout()); // again: nothing changes
  for (const [index, from] of [`${place}:1.0`, `${place}@${built.ociDigest}`].entries()) {
    const pulled = await json('pull', from, ...layout(`pulled-${index}`));
    assert.equal(pulled.digest, built.digest);
    assert.deepEqual(pulled.publishers.map((publisher) => publisher.toLowerCase()), [PUBLISHER]);
  }
  // Another publisher's signature joins the first.
  const other = `0x${'11'.repeat(32)}`;
  await json('build', example('hello-c'), '--private-key', other, ...layout('second'));
  await json('push', 'hello-c', `${place}:1.0`, ...layout('second'));
  assert.equal((await json('inspect', `${place}:1.0`)).publishers.length, 2);
  // Any OCI client sees an ordinary artifact.
  const manifest = await fetch(`http://${address}/v2/team/hello-c/manifests/1.0`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  });
  assert.equal(manifest.headers.get('docker-content-digest'), built.ociDigest);
  assert.equal((await manifest.json()).artifactType, 'application/vnd.cryptlet.package.v1');
});

test('a registry that lies about a blob, or lacks one, is found out', withRegistry, async () => {
  assert.match(await fails('pull', `oci://${address}/team/none:1.0`, ...layout('none')), /no package|not/i);
  const blobs = path.join(folder, 'registry/docker/registry/v2/blobs/sha256');
  const manifest = await (await fetch(`http://${address}/v2/team/hello-c/manifests/1.0`, {
    headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
  })).json();
  const hex = manifest.layers[0].digest.slice('sha256:'.length);
  const file = path.join(blobs, hex.slice(0, 2), hex, 'data');
  const good = await readFile(file);
  const bad = Buffer.from(good);
  bad[100] ^= 1;
  for (const lie of [bad, good.subarray(0, -1), Buffer.concat([good, Buffer.from('x')])]) {
    await writeFile(file, lie);
    await fails('pull', `oci://${address}/team/hello-c:1.0`, ...layout('lied'));
  }
  await writeFile(file, good);
  await json('pull', `oci://${address}/team/hello-c:1.0`, ...layout('lied'));
});

test('what was tampered with in a layout is refused by name', async () => {
  const built = await json('build', example('hello-c'), ...layout('tampered'));
  const blobs = path.join(folder, 'tampered/blobs/sha256');
  for (const name of await readdir(blobs)) {
    const file = path.join(blobs, name);
    const good = await readFile(file);
    if (good.length === 0) continue;
    await writeFile(file, Buffer.concat([good.subarray(0, -1), Buffer.from([good.at(-1) ^ 1])]));
    assert.match(await fails('inspect', built.digest, ...layout('tampered')), /digest|sha256|damaged|bytes/i, name);
    await writeFile(file, good);
  }
});

test('a package is registered from a registry and called', withRegistry, async () => {
  const node = await startDevNode();
  try {
    const registered = await run(cryptlet, [
      'register', `oci://${address}/team/hello-c:1.0`, '--rpc-url', node.ready.http, '--json',
    ]);
    assert.equal(registered.code, 0, registered.stderr);
    const { code, stdout, stderr } = await run(cryptlet, [
      'invoke', 'hello-c', 'largest(uint256[])(uint256,uint256)', '[7,9,8,9]', '--rpc-url', node.ready.http, '--json',
    ]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout).result, ['9', '1']);
  } finally {
    await node.stop();
  }
});
