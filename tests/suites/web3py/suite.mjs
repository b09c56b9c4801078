// web3.py: its integration tests against geth, with a `geth` that is another node on the same chain data.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { cache, cryptlet, launchers, suites } from '../lib/places.mjs';
import { must, run } from '../lib/process.mjs';
import { ofJunit } from '../lib/results.mjs';

export const title = 'web3.py (`web3`), integration with geth';
export const version = '8.0.0';
export const tool = 'pytest 9.2.0';
export const source = 'PyPI; pinned by its hash in `tests/suites/web3py/source.txt`';
export const about = 'What web3.py asks of geth 1.16.7 over HTTP (the synchronous half of that file). Every test unpacks a chain that geth made, ' +
  'starts the node on it and goes on from there; the stand-in for `geth` reads the blocks out of geth’s database, and the ' +
  'node verifies and imports all of them, to the hashes geth recorded, on a chain id of 47 bits.';
export const targets = ['cryptlet'];
export const why_not = { anvil: 'anvil cannot be started on an existing chain: it imports no blocks.' };

const here = path.join(suites, 'web3py');
const home = path.join(cache, 'web3py');
const project = path.join(home, `web3-${version}`);
const bin = path.join(home, '.venv/bin');

export async function prepare() {
  mkdirSync(home, { recursive: true });
  const [wanted, have] = [path.join(here, 'requirements.txt'), path.join(home, 'installed.txt')];
  if (!existsSync(have) || !readFileSync(have).equals(readFileSync(wanted))) {
    rmSync(path.join(home, '.venv'), { recursive: true, force: true });
    await must('web3py-venv.txt', 'python3', ['-m', 'venv', '.venv'], { cwd: home });
    await must('web3py-venv.txt', path.join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', '-r', wanted]);
    cpSync(wanted, have);
  }
  if (!existsSync(path.join(home, `web3-${version}.tar.gz`))) {
    const flags = ['--no-deps', '--no-binary', 'web3', '--require-hashes', '--disable-pip-version-check', '-d', home];
    await must('web3py-source.txt', path.join(bin, 'pip'), ['download', ...flags, '-r', path.join(here, 'source.txt')]);
  }
  rmSync(project, { recursive: true, force: true });
  await must('web3py-source.txt', 'tar', ['xzf', `web3-${version}.tar.gz`], { cwd: home });
}

export async function test(target, words = []) {
  const report = path.join(home, `${target}.xml`);
  const geth = path.join(launchers, 'geth');
  const started = performance.now();
  await run(`web3py-${target}.txt`, path.join(bin, 'python'), [
    '-m', 'pytest', 'tests/integration/go_ethereum/test_goethereum_http.py', '-k', 'not Async', '-n', '4', '-q', '--no-header', `--junitxml=${report}`, ...words,
  ], { cwd: project, env: { ...process.env, PATH: `${bin}:${process.env.PATH}`, CRYPTLET: cryptlet, GETH_BINARY: geth } });
  const wallSeconds = (performance.now() - started) / 1000;
  return { tests: ofJunit(readFileSync(report, 'utf8')), wallSeconds };
}

const ENS = 'fails in the client before it asks anything: web3.py’s ENS code hands a list to `pyunormalize` 18, which wants a string';
const NO_PEERS = 'peers, folders and ports of geth’s own network; this node has no peer-to-peer network';

/** Why a test does not pass: [what its name contains, reason]. */
const REASONS = [
  [/test_web3_client_version$/, 'wants a version that begins with “Geth/”; this node says who it is'],
  [/::test_(async_)?(add_peer|admin_datadir|admin_node_info|admin_peers|admin_start_stop)/, NO_PEERS],
  [/ens_(name|names|address)\b|_ens(\[|_)/, ENS],
];

export const reason = ({ name }) => REASONS.find(([pattern]) => pattern.test(name))?.[1];
export const skips = 'geth’s own known failures, marked as such in the suite';
