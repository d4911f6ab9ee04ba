// The quick start of the README, as it is, with the packed package on a dev server; and the declarations of types.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { devServer } from './services.js';

const run = promisify(execFile);
const here = fileURLToPath(new URL('..', import.meta.url));
const examples = [...readFileSync(join(here, 'README.md'), 'utf8').matchAll(/```js\n(.*?)```/gs)].map(([, code]) => code);

const installed = mkdtempSync(join(tmpdir(), 'sandbucket-package-'));
before(async () => {
  // What a user gets: the files of the tarball, and the dependency.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', installed], { cwd: here });
  const [tarball] = readdirSync(installed);
  await run('tar', ['-xzf', tarball], { cwd: installed });
  mkdirSync(join(installed, 'node_modules'));
  symlinkSync(join(installed, 'package'), join(installed, 'node_modules/sandbucket'));
  symlinkSync(join(here, 'node_modules/smol-toml'), join(installed, 'node_modules/smol-toml'));
});
after(() => rmSync(installed, { recursive: true }));

/** Runs code in a folder of its own, where the package is installed. */
async function execute(code, prepare = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sandbucket-'));
  try {
    symlinkSync(join(installed, 'node_modules'), join(folder, 'node_modules'));
    writeFileSync(join(folder, 'example.mjs'), code);
    prepare(folder);
    const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: folder, timeout: 60_000 });
    return { stdout, folder };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the quick start works as it is written', async () => {
  const { settings, stop } = await devServer();
  try {
    const [start, files] = examples;
    const own = { "'photos'": settings.bucket, "'http://localhost:9000'": settings.endpoint };
    let code = start;
    for (const [from, to] of Object.entries(own)) code = code.replace(from, JSON.stringify(to));
    code = code
      .replace("accessKey: 'minioadmin'", `accessKey: ${JSON.stringify(settings.accessKey)}`)
      .replace("secretKey: 'minioadmin'", `secretKey: ${JSON.stringify(settings.secretKey)}`);
    assert.ok(!code.includes('minioadmin') && !code.includes(':9000'), 'the README names other settings');
    const { stdout } = await execute(code);
    assert.equal(stdout, '14 Hello\nhello.txt 14\nthe key exists already\n');

    // Settings of a file need the dependency.
    const toml = `[store.blob.s3]\nbucket = "${settings.bucket}"\nendpoint = "${settings.endpoint}"\naccess-key = "a"\nsecret-key = "b"\n`;
    const opened = await execute("import { openConfig } from 'sandbucket'; (await openConfig('s.toml')).close(); console.log('opened');",
      (folder) => writeFileSync(join(folder, 's.toml'), toml));
    assert.equal(opened.stdout, 'opened\n');

    // The example of files goes on with the same store.
    const [opening] = code.split('await store.put');
    let copied;
    await execute(`${opening}\n${files}\nstore.close();\nif (!existsSync('copy.tar')) process.exit(1);`.replace(
      'import { createReadStream', 'import { existsSync, createReadStream',
    ), (folder) => {
      writeFileSync(join(folder, 'backup.tar'), Buffer.alloc(9 << 20, 1));
      copied = join(folder, 'copy.tar');
    });
    assert.ok(copied && !existsSync(copied));
  } finally {
    stop();
  }
});

test('the declarations fit how the package is used', async () => {
  await run(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', join(here, 'test/types')]);
});

test('the declarations name every export and method', async () => {
  const declared = readFileSync(join(here, 'index.d.ts'), 'utf8');
  const { Store, ...rest } = await import('../index.js');
  for (const name of Object.keys(rest)) assert.match(declared, new RegExp(`export declare (function|class) ${name}\\b`), name);
  for (const name of Object.getOwnPropertyNames(Store.prototype)) {
    if (name !== 'constructor') assert.match(declared, new RegExp(`^  ${name}\\(`, 'm'), name);
  }
});
