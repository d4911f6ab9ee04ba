// References in values: `%{env:NAME}%`, `%{file:PATH}%`, and `%{%}%` for a literal `%`.

import { shown } from '../text.js';
import { MAX_SECRET, readText, variable } from './input.js';

/** References in a value, and bytes of one. */
const MAX_REFERENCES = 16;
const MAX_REFERENCE = 4096;
const HOW_LITERAL = 'a `%{` that is to be taken as it is, as in a password, is written `%{%}%{`';

/** Replaces the references of a value; inserted text is not interpolated again. */
export async function interpolate(text, environment) {
  let out = '';
  let length = Buffer.byteLength(text);
  let rest = text;
  for (let count = 0; ; count += 1) {
    const begin = rest.indexOf('%{');
    if (begin < 0) break;
    const end = rest.indexOf('}%', begin + 2);
    if (end < 0) throw new Error(`a \`%{\` without its \`}%\`; ${HOW_LITERAL}`);
    if (count === MAX_REFERENCES) throw new Error(`more than ${MAX_REFERENCES} references, \`%{…}%\`, in one value`);
    const value = await lookUp(rest.slice(begin + 2, end), environment);
    length += Buffer.byteLength(value);
    if (length > MAX_SECRET) break;
    out += rest.slice(0, begin) + value;
    rest = rest.slice(end + 2);
  }
  if (length > MAX_SECRET) throw new Error(`the value is longer than ${MAX_SECRET} bytes, with all that it refers to`);
  return out + rest;
}

async function lookUp(reference, environment) {
  if (Buffer.byteLength(reference) > MAX_REFERENCE) {
    throw new Error(`a \`%{…}%\` with more than ${MAX_REFERENCE} bytes between \`%{\` and \`}%\``);
  }
  const [, scheme, name] = /^([^:]*):(.*)$/s.exec(reference) ?? [];
  if (scheme === 'env') {
    const value = variable(environment, name.trim());
    if (value === undefined) throw new Error(`the variable ${shown(name.trim())} is not set`);
    return value;
  }
  if (scheme === 'file') {
    const path = name.trim();
    try {
      return (await readText(path, MAX_SECRET)).replace(/[\r\n]+$/, '');
    } catch (error) {
      throw new Error(`the file ${shown(path)} ${error.message}`);
    }
  }
  if (reference === '%') return '%';
  // Not shown: it may be part of a secret.
  throw new Error(`a \`%{…}%\` that is neither \`%{env:NAME}%\` nor \`%{file:PATH}%\`; ${HOW_LITERAL}`);
}
