// Makes `plugin/` of the component that the repository contains, unless it is that of this component already.

import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transpileTo } from './plugin.js';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const root = join(here, '../..');
const component = process.env.SANDBUCKET_PLUGIN ?? join(root, 'host/sandbucket/plugin/sandbucket-s3.wasm');
const out = join(here, 'plugin');
const stamp = join(out, 'component.sha256');

for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(join(root, licence), join(here, licence));

const bytes = readFileSync(component);
const jco = JSON.parse(readFileSync(join(here, 'node_modules/@bytecodealliance/jco/package.json'), 'utf8')).version;
const sum = createHash('sha256').update(bytes).update(readFileSync(join(here, 'scripts/plugin.js')));
const digest = `${sum.digest('hex')} jco ${jco}\n`;
if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) {
  console.log('plugin/ is that of this component already');
} else {
  await transpileTo(bytes, out);
  writeFileSync(stamp, digest);
  console.log(`plugin/: ${statSync(join(out, 'plugin.js')).size} bytes of JavaScript`);
}
