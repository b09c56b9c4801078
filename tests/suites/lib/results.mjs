// What a suite said, in one form: a list of { name, outcome: 'passed' | 'failed' | 'skipped', message }.

/** Of mocha's JSON reporter. Tests that share a title are told apart by a number. */
export function ofMocha(report) {
  const seen = new Map();
  const titles = (list) => new Set(list.map((test) => test.fullTitle));
  // A test that fails after it had passed (mocha counts a second `done`) carries no error of its own.
  const [failures, pending] = [titles(report.failures), titles(report.pending)];
  const withError = titles(report.tests.filter((test) => test.err?.message));
  return report.tests.map(({ fullTitle, err }) => {
    const times = (seen.get(fullTitle) ?? 0) + 1;
    seen.set(fullTitle, times);
    const failed = Boolean(err?.message) || (failures.has(fullTitle) && !withError.has(fullTitle));
    const outcome = failed ? 'failed' : pending.has(fullTitle) ? 'skipped' : 'passed';
    return { name: times > 1 ? `${fullTitle} (${times})` : fullTitle, outcome, message: firstLine(err?.message) };
  });
}

/** Of libtest's plain output. */
export function ofLibtest(text) {
  const messages = new Map(
    [...text.matchAll(/^---- (\S+) stdout ----\n([\s\S]*?)(?=^---- |^failures:)/gm)].map(([, name, output]) => {
      const lines = output.split('\n').filter((line) => line.trim() && !/^(thread |note: |stack backtrace)/.test(line));
      return [name, firstLine(lines.join(' '))];
    }),
  );
  const words = { ok: 'passed', FAILED: 'failed', ignored: 'skipped' };
  return [...text.matchAll(/^test (\S+) \.\.\. (?:[^\n]*? )??(ok|FAILED|ignored)\b/gm)].map(([, name, word]) => {
    return { name, outcome: words[word], message: messages.get(name) };
  });
}

/** Of JUnit's XML as pytest writes it. An expected failure counts as skipped, as pytest has it. */
export function ofJunit(xml) {
  const text = (value) => value?.replaceAll('&#10;', '\n').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  return [...xml.matchAll(/<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([, attributes, body = '']) => {
    const attribute = (name) => text(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1]);
    const fault = /<(?:failure|error) message="([^"]*)"/.exec(body);
    const outcome = fault ? 'failed' : body.includes('<skipped') ? 'skipped' : 'passed';
    const module = attribute('classname').replace(/^tests\.integration\.go_ethereum\./, '');
    return { name: `${module}::${attribute('name')}`, outcome, message: firstLine(text(fault?.[1])) };
  });
}

const firstLine = (text) => text?.trim().split('\n')[0].slice(0, 240);

export function count(tests) {
  const of = (outcome) => tests.filter((test) => test.outcome === outcome).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') };
}
