// scripts/check.sh, with programs in place of cargo and npm that note how they are called.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('a current installation is kept, and a relative target folder is the caller\'s', () => {
  const root = mkdtempSync(join(tmpdir(), 'sandbucket-check-'));
  try {
    const here = join(root, 'host/node');
    cpSync(fileURLToPath(new URL('../scripts', import.meta.url)), join(here, 'scripts'), { recursive: true });
    writeFileSync(join(here, 'package.json'), '{"type": "module"}');
    const lock = (version) => JSON.stringify({
      packages: { '': {}, 'node_modules/a': { version }, 'node_modules/b': { version: '1.0.0', optional: true } },
    });
    mkdirSync(join(here, 'node_modules/a'), { recursive: true });
    writeFileSync(join(here, 'node_modules/a/package.json'), '{"version": "1.0.0"}');
    writeFileSync(join(here, 'node_modules/.package-lock.json'), '{"packages": {"node_modules/a": {"version": "1.0.0"}}}');
    const log = join(root, 'log');
    mkdirSync(join(root, 'bin'));
    for (const name of ['cargo', 'npm']) {
      const script = `#!/bin/sh\necho "${name} $1 $CARGO_TARGET_DIR" >>"${log}"\n`;
      writeFileSync(join(root, 'bin', name), script, { mode: 0o755 });
    }
    const check = (version) => {
      writeFileSync(join(here, 'package-lock.json'), lock(version));
      if (existsSync(log)) rmSync(log);
      const env = { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}`, CARGO: 'cargo', CARGO_TARGET_DIR: 'built' };
      execFileSync(join(here, 'scripts/check.sh'), { cwd: root, env });
      return readFileSync(log, 'utf8').trim().split('\n');
    };
    const folder = join(root, 'built');
    const rest = ['run', 'test', 'pack'].map((name) => `npm ${name} ${folder}`);
    assert.deepEqual(check('1.0.0'), [`cargo build ${folder}`, ...rest]);
    assert.deepEqual(check('1.0.1'), [`cargo build ${folder}`, `npm ci ${folder}`, ...rest]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
