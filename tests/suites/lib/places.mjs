// Where things are. Everything that is downloaded or built for a suite lies below `.cache/suites`, which git ignores.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const suites = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const root = path.resolve(suites, '../..');
export const cache = path.join(root, '.cache/suites');
export const logs = path.join(cache, 'logs');
export const results = path.join(cache, 'results');
export const launchers = path.join(suites, 'launchers');

const target = process.env.CARGO_TARGET_DIR ?? path.join(root, 'target');
export const cryptlet = path.join(target, 'release/cryptlet');
/** anvil as npm delivers it; `contracts/package-lock.json` pins it. */
export const anvil = path.join(root, 'contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil');
