// Starts the anvil that comes with contracts/package.json, to compare with.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './node.mjs';

export const anvilPath = path.join(root, 'contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
export const hasAnvil = existsSync(anvilPath);

export async function startAnvil(...args) {
  const child = spawn(anvilPath, ['--port', '0', '--hardfork', 'prague', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  let url;
  for await (const line of lines) {
    const listening = line.match(/^Listening on (\S+)/);
    if (listening) {
      url = `http://${listening[1]}`;
      break;
    }
  }
  child.stdout.resume();
  return {
    url,
    async stop(signal = 'SIGINT') {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill(signal);
      await exited;
    },
  };
}
