// Settings from the section `[store.blob.s3]` of a TOML file, or from the environment alone, by the rules of the Rust host's `Config`.

import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SandbucketError } from '../error.js';
import { Store } from '../store.js';
import { sanitize, shown } from '../text.js';
import { complete } from './discovery.js';
import { MAX_CERTIFICATES, MAX_CONFIG, readFile, readText } from './input.js';
import { interpolate } from './interpolate.js';

const SECTION = ['store', 'blob', 's3'];
const NAME = SECTION.join('.');
/** Keys of a section. */
const MAX_KEYS = 256;

/** The error of a configuration, with its place. */
function wrong(file, key, message) {
  const place = [file ?? 'configuration', key].filter((part) => part !== undefined).map((part) => shown(part)).join(': ');
  return new SandbucketError('invalid-settings', `${place}: ${sanitize(message, 4096)}`, { subject: key?.split('.').at(-1) });
}

function kind(value) {
  if (value instanceof Date) return 'a date';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a section' : 'a fraction';
}

function parseTruth(text) {
  if (text === 'true' || text === 'false') return text === 'true';
  // Not shown: it may come from a file or a variable.
  throw new Error('expected true or false');
}

async function section(text, file) {
  if (Buffer.byteLength(text) > MAX_CONFIG) throw wrong(file, undefined, `it is longer than ${MAX_CONFIG} bytes`);
  const { parse } = await import('smol-toml');
  let table;
  try {
    table = parse(text, { integersAsBigInt: true });
  } catch (error) {
    // The rest of the message quotes the text, which has secrets.
    const place = error.line === undefined ? file : `${file ?? 'configuration'}:${error.line}`;
    throw wrong(place, undefined, String(error.message).split('\n')[0]);
  }
  for (const step of SECTION) {
    if (table === null || typeof table !== 'object' || Array.isArray(table) || !Object.hasOwn(table, step)) {
      throw wrong(file, undefined, `there is no section [${NAME}]`);
    }
    table = table[step];
  }
  if (table === null || typeof table !== 'object' || Array.isArray(table) || table instanceof Date) {
    throw wrong(file, NAME, `expected the section [${NAME}], not ${kind(table)}`);
  }
  if (Object.keys(table).length > MAX_KEYS) {
    throw wrong(file, NAME, `${Object.keys(table).length} keys where ${MAX_KEYS} are allowed`);
  }
  return table;
}

/** The settings of a section's table and the options to open a store with, with everything resolved that it refers to. */
async function read(table, file, environment) {
  const settings = new Map();
  const options = { allowPrivateEndpoint: true };
  let [profile, caFile] = [];
  for (const [name, value] of Object.entries(table)) {
    const key = `${NAME}.${name}`;
    try {
      let text;
      if (typeof value === 'string') text = await interpolate(value, environment);
      else if (typeof value === 'bigint' || typeof value === 'boolean') text = String(value);
      else throw new Error(`expected text, a number, true or false, not ${kind(value)}`);
      const trimmed = text.trim();
      if (trimmed === '') continue;
      if (name === 'profile') profile = trimmed;
      else if (name === 'credentials') throw new Error('this package does not have the credential chain of AWS');
      else if (name === 'ca-file') caFile = file === undefined ? trimmed : resolve(dirname(file), trimmed);
      else if (name === 'allow-invalid-certs') options.allowInvalidCerts = parseTruth(trimmed);
      else if (name === 'allow-private') options.allowPrivate = parseTruth(trimmed);
      else if (name === 'proxy') {
        if (trimmed !== 'none') throw new Error('this package connects to no proxy: leave it out, or set it to "none"');
      } else settings.set(name, text);
    } catch (error) {
      throw wrong(file, key, error.message);
    }
  }
  try {
    const found = await complete(settings, profile, environment);
    caFile ??= found;
  } catch (error) {
    throw wrong(file, profile === undefined ? undefined : `${NAME}.profile`, error.message);
  }
  if (caFile !== undefined) {
    try {
      options.ca = await readFile(caFile, MAX_CERTIFICATES);
    } catch (error) {
      throw wrong(file, `${NAME}.ca-file`, `${shown(caFile)} ${error.message}`);
    }
  }
  return { settings: Object.fromEntries(settings), options };
}

/** Opens with the options of the configuration, which those of the caller override. */
async function opened({ settings, options }, further, file) {
  const { settings: own, environment, ...rest } = further;
  try {
    return await Store.open({ ...settings, ...own }, { ...options, ...rest });
  } catch (error) {
    if (error.kind !== 'invalid-settings' || error.subject === undefined) throw error;
    throw wrong(file, `${NAME}.${error.subject}`, error.message);
  }
}

/** Opens the store of a configuration file. The file is the operator's: never open one that a tenant wrote. */
export async function openConfig(path, options = {}) {
  const file = path instanceof URL ? fileURLToPath(path) : String(path);
  let text;
  try {
    text = await readText(file, MAX_CONFIG);
  } catch (error) {
    throw wrong(file, undefined, `the file ${error.message}`);
  }
  return opened(await read(await section(text, file), file, options.environment ?? process.env), options, file);
}

/** Opens the store of a configuration in a text. */
export async function parseConfig(text, options = {}) {
  return opened(await read(await section(text), undefined, options.environment ?? process.env), options);
}

/** Opens the store of a bucket, with credentials, region and endpoint of AWS's variables and shared files. */
export async function openEnvironment(bucket, options = {}) {
  return opened(await read({ bucket }, undefined, options.environment ?? process.env), options);
}
