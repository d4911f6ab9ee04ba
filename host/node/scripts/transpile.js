// Makes `plugin/` of the component that the repository contains: JavaScript with one instance per call of `instantiate`.
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const root = join(here, '../..');
const component = process.env.SANDBUCKET_PLUGIN ?? join(root, 'host/sandbucket/plugin/sandbucket-s3.wasm');
const out = join(here, 'plugin');
const stamp = join(out, 'component.sha256');

for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(join(root, licence), join(here, licence));

// The code wraps exports by `WebAssembly.promising`, which this driver does not use, and catches the error where it is missing: to word
// that error, V8 parses the whole function again, 27 times and 300 ms for each instance.
const PROLOGUE = 'const WebAssembly = Object.assign(Object.create(globalThis.WebAssembly), { promising: (wasm) => wasm });\n';

const bytes = readFileSync(component);
const jcoVersion = JSON.parse(readFileSync(join(here, 'node_modules/@bytecodealliance/jco/package.json'), 'utf8')).version;
const sum = createHash('sha256').update(bytes).update(readFileSync(fileURLToPath(import.meta.url)));
const digest = `${sum.digest('hex')} jco ${jcoVersion}\n`;
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
  console.log('plugin/ is that of this component already');
} else {
  const { transpile } = await import('@bytecodealliance/jco');
  const { files } = await transpile(bytes, {
    name: 'plugin',
    instantiation: 'sync',
    noNodejsCompat: true,
    wasiShim: false,
    minify: true,
  });
  rmSync(out, { recursive: true, force: true });
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('.d.ts')) continue;
    mkdirSync(dirname(join(out, name)), { recursive: true });
    writeFileSync(join(out, name), name === 'plugin.js' ? PROLOGUE + Buffer.from(content).toString() : content);
  }
  writeFileSync(stamp, digest);
  console.log(`plugin/: ${statSync(join(out, 'plugin.js')).size} bytes of JavaScript`);
}
