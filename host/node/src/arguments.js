// Arguments of calls: checked, and converted to the records of the contract.

import { invalidArgument } from './error.js';
import { shown } from './text.js';

const COMMON = ['signal', 'timeLimit', 'maxRetries', 'attributes'];
const CONDITIONS = ['ifMatch', 'ifNoneMatch', 'ifModifiedSince', 'ifUnmodifiedSince'];
export const READ = ['range', ...CONDITIONS, 'version'];
export const WRITE = ['contentType', 'metadata', 'ifAbsent', 'ifMatch', 'writeId'];

/** The longest duration of the contract, in nanoseconds. */
const MAX_DURATION = 2n ** 64n - 1n;

/** Fails for an option that the call does not have: a misspelt condition must not be ignored. */
export function known(doing, options, names) {
  if (options === undefined) return {};
  if (options === null || typeof options !== 'object') throw invalidArgument('options', `${doing}: the options are no object`);
  for (const name of Object.keys(options)) {
    if (!names.includes(name) && !COMMON.includes(name)) {
      const all = [...names, ...COMMON].join(', ');
      throw invalidArgument(name, `${doing}: there is no option ${JSON.stringify(shown(name))}; there are ${all}`);
    }
  }
  return options;
}

/** A text that every language can hold. */
export function text(what, value) {
  if (typeof value !== 'string') throw invalidArgument(what, `${what} is ${value === null ? 'null' : typeof value}, not a string`);
  if (!value.isWellFormed()) throw invalidArgument(what, `${what} ${JSON.stringify(shown(value))} is no valid Unicode text`);
  return value;
}

export const optional = (what, value) => (value === undefined ? undefined : text(what, value));

/** Pairs of an object, a Map or a list. */
export function pairs(what, value) {
  if (value === undefined) return undefined;
  const list = value instanceof Map || Array.isArray(value) ? [...value] : Object.entries(value ?? {});
  return list.map(([name, one]) => [text(`a name of ${what}`, name), text(`${what} ${JSON.stringify(shown(name))}`, one)]);
}

function whole(what, value, least = 0) {
  if (!Number.isSafeInteger(value) || value < least) {
    throw invalidArgument(what, `${what} is ${String(value)}; it must be a whole number, at least ${least}`);
  }
  return value;
}

export const count = (what, value) => (value === undefined ? undefined : whole(what, value));

function datetime(what, value) {
  if (value === undefined) return undefined;
  const time = value instanceof Date ? value.getTime() : NaN;
  if (!(time >= 0)) throw invalidArgument(what, `${what} is no Date since 1970`);
  return { seconds: BigInt(Math.floor(time / 1000)), nanoseconds: (time % 1000) * 1e6 };
}

/** Nanoseconds of so many milliseconds. */
export function duration(what, value) {
  if (typeof value !== 'number' || !(value >= 0)) throw invalidArgument(what, `${what} is ${String(value)}; it must be a number of milliseconds`);
  const nanoseconds = value * 1e6;
  return nanoseconds >= Number(MAX_DURATION) ? MAX_DURATION : BigInt(Math.floor(nanoseconds));
}

/** `call-options`. The plugin assumes ten minutes if it is given no limit. */
export function call({ timeLimit, maxRetries, attributes, writeId }, callTime) {
  if (timeLimit !== undefined) duration('timeLimit', timeLimit);
  const limit = Math.min(timeLimit ?? callTime, callTime);
  const all = pairs('attributes', attributes) ?? [];
  if (writeId !== undefined) all.push(['write-id', text('writeId', writeId)]);
  return {
    timeLimit: duration('timeLimit', limit),
    maxRetries: count('maxRetries', maxRetries),
    attributes: all.length === 0 ? undefined : all,
  };
}

/** `read-conditions`. */
export function conditions({ ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince }) {
  const record = {
    ifMatch: optional('ifMatch', ifMatch),
    ifNoneMatch: optional('ifNoneMatch', ifNoneMatch),
    ifModifiedSince: datetime('ifModifiedSince', ifModifiedSince),
    ifUnmodifiedSince: datetime('ifUnmodifiedSince', ifUnmodifiedSince),
  };
  return Object.values(record).every((value) => value === undefined) ? undefined : record;
}

/** `write-condition`. */
export function condition({ ifAbsent, ifMatch }) {
  if (ifAbsent && ifMatch !== undefined) throw invalidArgument('ifMatch', 'ifAbsent and ifMatch exclude each other');
  if (ifAbsent) return { tag: 'if-absent' };
  return ifMatch === undefined ? undefined : { tag: 'if-match', val: text('ifMatch', ifMatch) };
}

/** `byte-range`: `{ start, end }`, of which one may be absent, or `{ last }`. */
export function range(value) {
  if (value === undefined) return undefined;
  const { start, end, last, ...rest } = value ?? {};
  if (value === null || typeof value !== 'object' || Object.keys(rest).length > 0 || (last !== undefined && (start ?? end) !== undefined)) {
    throw invalidArgument('range', 'the range is neither { start, end } nor { last }');
  }
  if (last !== undefined) return { tag: 'last', val: BigInt(whole('range.last', last)) };
  const from = BigInt(whole('range.start', start ?? 0));
  if (end === undefined) return start === undefined ? undefined : { tag: 'from', val: from };
  return { tag: 'within', val: { start: from, end: BigInt(whole('range.end', end)) } };
}

/** `blob-ref`: a key, or `{ key, version }`. */
export function blobRef(value) {
  if (typeof value === 'string') return { key: text('key', value) };
  return { key: text('key', value?.key), version: optional('version', value.version) };
}
