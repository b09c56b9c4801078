// The recipes that cannot be run here say nothing that their readers, or the binary, would not understand.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { cryptlet, root, run } from './support/node.mjs';

const python = path.join(root, 'tests/e2e/.venv/bin/python');

async function flagsOf(...command) {
  const { code, stdout } = await run(cryptlet, [...command, '--help']);
  assert.equal(code, 0);
  return new Set(stdout.match(/--[a-z][a-z.-]+/g));
}

/** Every `cryptlet` command line in a text, with its flags. */
function commands(text) {
  const lines = text.replaceAll(/\\\n\s*/g, ' ').split('\n');
  return lines.flatMap((line) => [...line.matchAll(/cryptlet ((?:host|node)(?: (?:status|enroll|drain|rotate))?)\b([^|]*)/g)])
    .map(([, command, rest]) => [command.split(' '), rest.match(/--[a-z][a-z.-]+/g) ?? []]);
}

async function check(text) {
  const found = commands(text);
  for (const [command, flags] of found) {
    const known = await flagsOf(...command);
    for (const flag of flags) assert.ok(known.has(flag), `${command.join(' ')} has no ${flag}`);
  }
  return found.length;
}

test('compose.yaml is a compose file, and the binary knows its flags', async () => {
  const file = path.join(root, 'docker/compose.yaml');
  const { code, stdout, stderr } = await run(python, ['-c', 'import json,sys,yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)'], {
    input: await readFile(file, 'utf8'),
  });
  assert.equal(code, 0, stderr);
  const { services, volumes } = JSON.parse(stdout);
  assert.deepEqual(Object.keys(services), ['host', 'enroll', 'node']);
  let checked = 0;
  for (const [name, service] of Object.entries(services)) {
    assert.equal(service.image, 'cryptlet');
    for (const dependency of Object.keys(service.depends_on ?? {})) assert.ok(services[dependency], `${name} waits for ${dependency}`);
    for (const volume of service.volumes) assert.ok(volume.split(':')[0] in volumes, volume);
    const words = [service.entrypoint ? '' : 'cryptlet', ...service.command, '\ncryptlet', ...(service.healthcheck?.test.slice(2) ?? [])];
    checked += await check(words.join(' '));
  }
  assert.ok(checked >= 5, `${checked} command lines`);
});

test('the systemd unit has sections that systemd knows, and the binary knows its flags', async () => {
  const unit = await readFile(path.join(root, 'packaging/systemd/cryptlet-host.service'), 'utf8');
  assert.deepEqual(unit.match(/^\[.*\]$/gm), ['[Unit]', '[Service]', '[Install]']);
  const lines = unit.replaceAll(/\\\n\s*/g, ' ').split('\n').filter((line) => line && !/^[#[]/.test(line));
  for (const line of lines) assert.match(line, /^[A-Z][A-Za-z]+=/, line);
  assert.ok(await check(unit) >= 2);
});
