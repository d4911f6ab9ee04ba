// The shared credentials and config files of AWS's tools, by the rules of the Rust host (host/sandbucket/src/credentials/profiles.rs).

import { homedir } from 'node:os';
import { join } from 'node:path';
import { shown } from '../text.js';
import { MAX_CONFIG, readText, variable } from './input.js';

/** Profiles that an error names. */
const NAMES = 20;

/** Expands a leading `~/`. */
export function expandHome(path, environment) {
  const home = environment.HOME || homedir();
  return path.startsWith('~/') ? join(home, path.slice(2)) : path;
}

/** A key and its value, without a trailing comment, which begins with a space. */
function pair(line) {
  const end = line.search(/[=:]/);
  if (end < 0) return undefined;
  const key = line.slice(0, end).trimEnd();
  let value = line.slice(end + 1);
  // A command may contain these marks.
  if (key.toLowerCase() !== 'credential_process') value = value.split(/[ \t][#;]/)[0];
  return key === '' ? undefined : [key, value.trim()];
}

const unquoted = (name) => /^(["'])(.*)\1$/.exec(name)?.[2] ?? name;

export class Profiles {
  #profiles = new Map();
  #services = new Map();
  #bare = [];
  /** The first malformed line, and the first missing file that a variable names. */
  malformed;
  missing;

  /** Reads both files. A missing file counts as empty, and so does `/dev/null`. */
  static async read(environment) {
    const profiles = new Profiles();
    for (const [name, file, isConfig] of [
      ['AWS_CONFIG_FILE', 'config', true],
      ['AWS_SHARED_CREDENTIALS_FILE', 'credentials', false],
    ]) {
      const named = variable(environment, name);
      const home = variable(environment, 'HOME');
      const path = named === undefined ? home && join(home, '.aws', file) : expandHome(named, environment);
      if (path === undefined || path === '/dev/null') continue;
      try {
        profiles.add(await readText(path, MAX_CONFIG), shown(path), isConfig);
      } catch (error) {
        if (error.code === 'ENOENT') {
          if (named !== undefined) profiles.missing ??= `${name}: there is no file ${shown(path)}`;
          continue;
        }
        const failure = new Error(`${named === undefined ? '' : `${name}: `}${shown(path)} ${error.message}`);
        throw Object.assign(failure, { isNamed: named !== undefined, code: error.code });
      }
    }
    return profiles;
  }

  add(text, file, isConfig) {
    const mark = (line, what) => (this.malformed ??= `${file}:${line}: ${what}`);
    let section;
    let before = true;
    /** The key that deeper lines belong to, and whether they are keys themselves, as after `s3 =`. */
    let option;
    let level = 0;
    const lines = text.replace(/^\ufeff/, '').split('\n');
    lines.forEach((whole, index) => {
      const line = whole.trim();
      if (line === '' || line.startsWith('#') || line.startsWith(';')) return;
      const indent = whole.length - whole.trimStart().length;
      if (option && indent > level) {
        const nested = pair(line);
        if (!section) return;
        if (option.nested && nested) this.#insert(section, `${option.key}.${nested[0]}`, nested[1]);
        else if (option.nested) mark(index + 1, 'this is no `KEY = VALUE`');
        else mark(index + 1, "this line is indented deeper than the key above it, and so it is part of that key's value");
        return;
      }
      level = indent;
      if (line.startsWith('[')) {
        option = undefined;
        before = false;
        section = this.#section(line.slice(1).split(']')[0].trim(), isConfig);
        return;
      }
      const found = pair(line);
      if (before) mark(index + 1, 'this is before the first `[SECTION]`');
      else if (found) {
        option = { key: found[0].toLowerCase(), nested: found[1] === '' };
        if (section) this.#insert(section, found[0], found[1]);
      } else if (section) mark(index + 1, 'this is neither a `[SECTION]` nor `KEY = VALUE`');
    });
  }

  #insert(section, key, value) {
    if (value !== '') section.set(key.toLowerCase(), value);
  }

  #section(header, isConfig) {
    const of = (map, name) => map.get(name) ?? map.set(name, new Map()).get(name);
    if (!isConfig) return of(this.#profiles, unquoted(header));
    const [, word, name] = /^(\S+)\s+(.*)$/s.exec(header) ?? [];
    if (word === 'profile') return of(this.#profiles, unquoted(name));
    if (word === 'services') return of(this.#services, unquoted(name));
    if (header === 'default') return of(this.#profiles, header);
    if (this.#bare.length < NAMES) this.#bare.push(header);
    return undefined;
  }

  get(name) {
    return this.#profiles.get(name);
  }

  services(name) {
    return this.#services.get(name);
  }

  /** The position of the first fault of the files, for errors. */
  fault() {
    return this.missing ?? this.malformed;
  }

  /** The profile of this name, which somebody asked for. */
  named(name) {
    const found = this.#profiles.get(name);
    if (found) return found;
    const names = [...this.#profiles.keys()];
    const some = names.sort().slice(0, NAMES).map(shown).join(', ');
    const more = names.length > NAMES ? `, and ${names.length - NAMES} more` : '';
    const bare = this.#bare.includes(name) ? `; the config file has [${shown(name)}], where it must be [profile ${shown(name)}]` : '';
    const fault = this.fault() ? ` (${this.fault()})` : '';
    throw new Error(
      `there is no profile "${shown(name)}" in the shared credentials and config files; ` +
        `there are ${names.length === 0 ? 'none' : some + more}${bare}${fault}`,
    );
  }
}
