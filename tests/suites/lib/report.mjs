// docs/suites.md: one table, and below it every test that does not pass, with the reason.
import { count } from './results.mjs';

/** `all`: [{ name, suite, cryptlet, anvil }], where the last two are outcomes, as far as there are any. */
export function page(all, intro) {
  return [intro.trimEnd(), table(all), ...all.filter((each) => each.cryptlet).map(section)].join('\n\n') + '\n';
}

function table(all) {
  const rows = [];
  for (const { suite, cryptlet, anvil } of all) {
    if (!cryptlet) continue;
    const cells = [`[${suite.title}](#${anchor(suite)}) ${suite.version}`, suite.tool, outcome(cryptlet), outcome(anvil), seconds(cryptlet), seconds(anvil)];
    rows.push(`| ${cells.join(' | ')} |`);
  }
  return ['| suite | run by | here: passed / failed / skipped | anvil 1.7.1 | time here | time on anvil |', '| --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}

const anchor = (suite) => suite.title.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-');

function outcome(run) {
  if (!run) return 'cannot run it';
  const { passed, failed, skipped } = count(run.tests);
  return `**${passed}** / ${failed} / ${skipped}`;
}

function seconds(run) {
  if (!run) return '–';
  const cpu = run.cpuSeconds === undefined ? '' : ` (node: ${run.cpuSeconds.toFixed(1)} s of CPU)`;
  return `${run.wallSeconds.toFixed(0)} s${cpu}`;
}

function section({ suite, cryptlet, anvil }) {
  const lines = [`## ${suite.title}`, '', `${suite.about} Source: ${suite.source}.`];
  if (!anvil) lines.push('', suite.why_not.anvil);
  const outcomeOnAnvil = new Map(anvil?.tests.map((test) => [test.name, test.outcome]));
  const failed = cryptlet.tests.filter((test) => test.outcome === 'failed');
  if (failed.length > 0) {
    lines.push('', '| does not pass here | anvil | why |', '| --- | --- | --- |');
    for (const test of failed) {
      const why = suite.reason(test, anvil) ?? `**a defect of this node**: ${test.message}`;
      lines.push(`| ${escape(test.name)} | ${outcomeOnAnvil.get(test.name) ?? '–'} | ${escape(why)} |`);
    }
  }
  const onlyHere = cryptlet.tests.filter((test) => test.outcome === 'passed' && outcomeOnAnvil.get(test.name) === 'failed');
  if (onlyHere.length > 0) {
    lines.push('', `Passes here and fails on anvil: ${onlyHere.map((test) => `*${escape(test.name)}*`).join('; ')}.`);
  }
  const skipped = cryptlet.tests.filter((test) => test.outcome === 'skipped');
  if (skipped.length > 0) {
    lines.push('', `Skipped by the suite itself: ${skipped.length} (${suite.skips}).`);
  }
  return lines.join('\n');
}

const escape = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
