// JavaScript of a component, with one instance per call of `instantiate`.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

// The code wraps exports by `WebAssembly.promising`, which this driver does not use, and catches the error where it is missing: to word
// that error, V8 parses the whole function again, 27 times and 300 ms for each instance.
const PROLOGUE = 'const WebAssembly = Object.assign(Object.create(globalThis.WebAssembly), { promising: (wasm) => wasm });\n';

/** Transpiles a component into a folder, which it replaces. */
export async function transpileTo(bytes, folder) {
  const { transpile } = await import('@bytecodealliance/jco');
  const { files } = await transpile(bytes, {
    name: 'plugin',
    instantiation: 'sync',
    noNodejsCompat: true,
    wasiShim: false,
    minify: true,
  });
  rmSync(folder, { recursive: true, force: true });
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith('.d.ts')) continue;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), name === 'plugin.js' ? PROLOGUE + Buffer.from(content).toString() : content);
  }
}
