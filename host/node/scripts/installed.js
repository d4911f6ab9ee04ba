// Whether `node_modules` is a complete installation of the lock file: then nothing has to be installed, which needs a network.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = process.argv[2] ?? '.';
const read = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'));

function isCurrent() {
  const wanted = read('package-lock.json').packages;
  // npm writes it when all packages are in place.
  const found = read('node_modules/.package-lock.json').packages;
  const isSame = (path) => JSON.stringify(found[path]) === JSON.stringify(wanted[path]) && read(`${path}/package.json`).version === wanted[path].version;
  // Of optional packages, npm installs those of this platform, and of extraneous ones none.
  const isOptional = (path) => path === '' || wanted[path].optional === true || wanted[path].extraneous === true;
  return Object.keys(found).every(isSame) && Object.keys(wanted).every((path) => found[path] || isOptional(path));
}

try {
  process.exitCode = isCurrent() ? 0 : 1;
} catch {
  process.exitCode = 1;
}
