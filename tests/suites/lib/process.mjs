// Commands that are run to their end, and nodes that are started and stopped again.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { anvil, cryptlet, logs } from './places.mjs';

/** Runs a command and resolves with its exit code; what it prints goes to `.cache/suites/logs/LOG`. */
export async function run(log, command, args, options = {}) {
  mkdirSync(logs, { recursive: true });
  const file = createWriteStream(path.join(logs, log), { flags: options.append ? 'a' : 'w' });
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(file, { end: false });
  child.stderr.pipe(file, { end: false });
  const failed = once(child, 'error').then(([error]) => { throw error; });
  const [code] = await Promise.race([once(child, 'close'), failed]);
  await new Promise((done) => file.end(done));
  return code;
}

/** The same for a step that has to succeed. */
export async function must(log, command, args, options = {}) {
  const code = await run(log, command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${tail(log)}`);
}

export const read = (log) => readFileSync(path.join(logs, log), 'utf8');
const tail = (log) => read(log).split('\n').slice(-30).join('\n');

/** Starts the node under test on a free port: `{ url, cpuSeconds(), stop() }`. */
export async function startNode(target, { hardfork, balance } = {}) {
  const options = [
    ...(hardfork ? ['--hardfork', hardfork] : []),
    ...(balance ? ['--balance', String(balance)] : []),
    '--port', '0',
  ];
  const [command, args] = target === 'anvil'
    ? [anvil, options]
    : [cryptlet, ['node', '--dev', '--no-fabric', '--quiet', ...options]];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const listening = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      const address = /Listening on (\S+)/.exec(line)?.[1];
      if (address) return `http://${address}`;
    }
    throw new Error(`${command} ${args.join(' ')} ended before it listened`);
  })();
  const url = await listening;
  child.stdout.resume();
  return {
    url,
    /** User and system time the node has used so far. */
    cpuSeconds() {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    async stop() {
      const exited = once(child, 'exit');
      child.kill('SIGINT');
      await exited;
    },
  };
}
