// Runs the unmodified test suites of other projects against the node, and beside it against anvil.
//
// usage: scripts/test-suites [NAME…] [--against anvil|cryptlet|both] [--report]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { anvil, cryptlet, results, root, suites } from './lib/places.mjs';
import { page } from './lib/report.mjs';
import { count } from './lib/results.mjs';

const NAMES = ['safe', 'alloy', 'web3py'];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { against: { type: 'string', default: 'cryptlet' }, report: { type: 'boolean', default: false } },
});
const targets = { cryptlet: ['cryptlet'], anvil: ['anvil'], both: ['cryptlet', 'anvil'] }[values.against];
const unknown = positionals.filter((name) => !NAMES.includes(name));
if (!targets || unknown.length > 0) {
  console.error(`usage: scripts/test-suites [${NAMES.join(' | ')}] [--against anvil|cryptlet|both] [--report]`);
  process.exit(2);
}
const chosen = positionals.length > 0 ? positionals : NAMES;
for (const binary of [cryptlet, ...(targets.includes('anvil') ? [anvil] : [])]) {
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run make build, and npm ci in contracts/`);
}

mkdirSync(results, { recursive: true });
const file = (name, target) => path.join(results, `${name}-${target}.json`);
const load = (name, target) => (existsSync(file(name, target)) ? JSON.parse(readFileSync(file(name, target), 'utf8')) : undefined);
const total = { passed: 0, failed: 0, skipped: 0 };

for (const name of chosen) {
  const suite = await import(`./${name}/suite.mjs`);
  if (values.report) continue;
  console.log(`\n=== ${name} ${suite.version}: preparing`);
  await suite.prepare();
  for (const target of targets) {
    if (suite.targets && !suite.targets.includes(target)) {
      console.log(`SKIPPED ${name} against ${target}: ${suite.why_not[target]}`);
      continue;
    }
    console.log(`=== ${name} ${suite.version} against ${target}`);
    const outcome = await suite.test(target);
    writeFileSync(file(name, target), JSON.stringify(outcome, undefined, 1));
    const { passed, failed, skipped } = count(outcome.tests);
    const cpu = outcome.cpuSeconds === undefined ? '' : `, ${outcome.cpuSeconds.toFixed(1)} s of CPU in the node`;
    console.log(`${name} on ${target}: ${passed} of ${outcome.tests.length} pass, ${skipped} are skipped by the suite; ` +
      `${outcome.wallSeconds.toFixed(0)} s${cpu}`);
    if (target === 'cryptlet') judge(suite, outcome, load(name, 'anvil'));
  }
}

/** A test that does not pass needs a reason that is written down; without one it is a failure of the node. */
function judge(suite, { tests }, beside) {
  for (const test of tests) {
    const reason = suite.reason(test, beside);
    if (test.outcome === 'failed' && reason) {
      total.skipped += 1;
      console.log(`SKIPPED ${test.name}: ${reason}`);
    } else if (test.outcome === 'failed') {
      total.failed += 1;
      console.log(`FAILED ${test.name}: ${test.message}`);
    } else if (test.outcome === 'skipped') {
      total.skipped += 1;
    } else total.passed += 1;
  }
}

const all = [];
for (const name of NAMES) {
  const suite = await import(`./${name}/suite.mjs`);
  all.push({ name, suite, cryptlet: load(name, 'cryptlet'), anvil: load(name, 'anvil') });
}
if (values.report || (chosen.length === NAMES.length && targets.length === 2)) {
  writeFileSync(path.join(root, 'docs/suites.md'), page(all, readFileSync(path.join(suites, 'intro.md'), 'utf8')));
  console.log('\nwrote docs/suites.md');
}
if (!values.report) console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exitCode = total.failed === 0 ? 0 : 1;
