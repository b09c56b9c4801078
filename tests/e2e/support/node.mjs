// Starts a `cryptlet node` for a test and stops it again. The node says on standard output, in one JSON line, when it is
// ready and where; nothing here waits by the clock.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
export const cryptlet = path.join(target, 'release/cryptlet');
export const audit = path.join(target, 'release/cryptlet-audit');

/** Starts `cryptlet ...args --json` and resolves with the process and the first JSON line it prints. */
export async function start(args, { ready_within_ms = 120_000 } = {}) {
  const child = spawn(cryptlet, [...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line);
    if (log.length > 2000) log.shift();
  });
  const lines = createInterface({ input: child.stdout });
  const deadline = setTimeout(() => child.kill('SIGKILL'), ready_within_ms);
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => ({ line })),
    once(child, 'exit').then(([code, signal]) => ({ code, signal })),
  ]);
  clearTimeout(deadline);
  if (first.line === undefined) {
    throw new Error(`cryptlet ${args.join(' ')} ended (${first.code ?? first.signal}) before it was ready:\n${log.join('\n')}`);
  }
  return {
    child,
    log,
    ready: JSON.parse(first.line),
    async stop(signal = 'SIGINT') {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const exited = once(child, 'exit');
      child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}

/** A dev node on a free port. */
export const startDevNode = (...args) => start(['node', '--dev', '--port', '0', ...args]);

/** Runs a command to its end and returns { code, stdout, stderr }; `input` is what it may read. */
export async function run(command, args, { input, ...options } = {}) {
  // Without input there is no pipe either: a command that ends before it was written to would break it.
  const child = spawn(command, args, { cwd: root, ...options, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  const out = [], err = [];
  child.stdout.on('data', (chunk) => out.push(chunk));
  child.stderr.on('data', (chunk) => err.push(chunk));
  child.stdin?.end(input);
  const [code] = await once(child, 'close');
  return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}

/** One JSON-RPC call; an error answer rejects with its code, message and data. */
export async function rpc(url, method, params = []) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await answer.json();
  if (error) throw Object.assign(new Error(`${method}: ${error.message}`), error);
  return result;
}

/** Runs `cryptlet ...args --json` to its end, which must be a good one, and returns what it says. */
export async function succeed(...args) {
  const { code, stdout, stderr } = await run(cryptlet, [...args, '--json']);
  assert.equal(code, 0, `${args.join(' ')}\n${stderr}`);
  return JSON.parse(stdout);
}

/** The flags that point a node, or an operator, at a host; `identity` is a PEM file that the host has issued. */
export const fabricOf = (host, identity) => [
  '--crypto-delegate-path', host.ready.descriptor, '--crypto-delegate-signature', host.ready.address,
  '--crypto-delegate-identity', identity,
];
