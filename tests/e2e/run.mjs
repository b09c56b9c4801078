// Runs every *.test.mjs here, one file after the other, and ends with a line that counts.
import { run as runTests } from 'node:test';
import { spec } from 'node:test/reporters';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs') && (wanted.length === 0 || wanted.some((word) => name.includes(word))))
  .map((name) => path.join(here, name));

let passed = 0, failed = 0, skipped = 0;
// Some clients keep timers of their own when they are done; a file ends when its tests have.
const stream = runTests({ files, concurrency: 1, forceExit: true });
const isLeaf = (event) => event.details?.type !== 'suite';
stream.on('test:pass', (event) => {
  if (!isLeaf(event) || event.name.endsWith('.test.mjs')) return;
  if (event.skip !== undefined) {
    skipped += 1;
    console.log(`SKIPPED ${event.name}: ${event.skip}`);
  } else passed += 1;
});
stream.on('test:fail', (event) => {
  if (isLeaf(event)) failed += 1;
});
stream.compose(spec).pipe(process.stdout, { end: false });
stream.on('end', () => {
  setImmediate(() => {
    console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped`);
    process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
  });
});
