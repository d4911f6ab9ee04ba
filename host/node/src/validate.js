// Validation of what the plugin returns, applied once, where its values become those of this package. The bounds are the Rust host's
// (host/sandbucket/src/sandbox/bindings/validate.rs).

import { SandbucketError, broken, ofPlugin } from './error.js';
import { DIGEST_LENGTH } from './checksum.js';
import { hasControls } from './text.js';

const MAX_KEY = 4 << 10;
const MAX_TAG = 2 << 10;
const MAX_TOKEN = 16 << 10;
const MAX_VALUE = 64 << 10;
const MAX_PAIRS = 2048;
const MAX_PAGE = 10_000;
const MAX_URL = 32 << 10;
/** The last second of the year 9999. */
const MAX_SECONDS = 253_402_300_799n;
/** The end of a range of unknown length. */
const UNKNOWN = 2n ** 64n - 1n;

function bounded(what, text, most) {
  if (text.length > most) throw broken(`it returned ${what} of ${text.length} bytes, and at most ${most} are taken`);
  return text;
}

function counted(what, list, most) {
  if (list.length > most) throw broken(`it returned ${list.length} ${what}, and at most ${most} are taken`);
  return list;
}

/** Text that a header field could carry. */
function plain(what, text, most = MAX_TAG) {
  if (text === undefined) return undefined;
  bounded(what, text, most);
  if (hasControls(text)) throw broken(`it returned ${what} with control characters`);
  return text;
}

const token = (text) => (text === undefined ? undefined : bounded('a continuation token', text, MAX_TOKEN));
const key = (text) => bounded('a key', text, MAX_KEY);

/** Pairs as an object without a prototype, so that no name means anything else. */
function pairs(what, list, value = (text) => bounded('a value', text, MAX_VALUE)) {
  const result = Object.create(null);
  for (const [name, text] of counted(what, list, MAX_PAIRS)) result[plain('a name', name)] = value(text);
  return result;
}

const attributes = (list) => pairs('attributes', list, (text) => plain('an attribute', text, MAX_VALUE));

/** A date that a calendar can hold, or undefined. */
function date(time) {
  if (time === undefined || time.seconds > MAX_SECONDS) return undefined;
  return new Date(Number(time.seconds) * 1000 + Math.floor(Math.min(time.nanoseconds, 999_999_999) / 1e6));
}

function size(value) {
  if (value === undefined || value === UNKNOWN) return undefined;
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw broken(`it returned a length of ${value} bytes`);
  return Number(value);
}

const end = (value) => size(value) ?? Infinity;

function info(blob) {
  return {
    size: size(blob.size),
    etag: plain('an entity tag', blob.etag),
    lastModified: date(blob.lastModified),
    contentType: plain('a media type', blob.contentType),
    metadata: pairs('pieces of metadata', blob.metadata),
    version: plain('a version', blob.version),
    attributes: attributes(blob.attributes),
  };
}

const written = ({ etag, version }) => ({ etag: plain('an entity tag', etag), version: plain('a version', version) });

/** The part of a blob of this size that a range stands for. */
export function wanted(range, whole) {
  switch (range?.tag) {
    case undefined:
    case 'whole':
      return [0, whole];
    case 'from':
      return [Math.min(Number(range.val), whole), whole];
    case 'within':
      return [Math.min(Number(range.val.start), whole), Math.min(Number(range.val.end), whole)];
    default:
      return [Math.max(whole - Number(range.val), 0), whole];
  }
}

function head({ info: blob, range, bodyRange, digest }, { options }) {
  const result = {
    info: info(blob),
    range: { start: Number(range.start), end: end(range.end) },
    bodyRange: { start: Number(bodyRange.start), end: end(bodyRange.end) },
    digest,
  };
  const [start, stop] = [result.range.start, result.range.end];
  const whole = result.info.size ?? Infinity;
  const inOrder = result.bodyRange.start <= start && start <= stop && stop <= result.bodyRange.end && result.bodyRange.end <= whole;
  // Where the size is unknown, so is where the last bytes begin.
  const [first, last] = wanted(options?.range, whole);
  const asked = whole === Infinity && options?.range?.tag === 'last' ? true : start === first && stop === last;
  if (!inOrder || !asked || !Number.isSafeInteger(start)) throw new SandbucketError('integrity', 'get: the plugin returned another range of the blob than was asked for', { subject: 'range' });
  if (digest && DIGEST_LENGTH[digest.algorithm] !== digest.value.length) throw broken('it returned a digest of another length');
  return result;
}

const entry = (blob) => ({
  key: key(blob.key),
  size: size(blob.size) ?? 0,
  etag: plain('an entity tag', blob.etag),
  lastModified: date(blob.lastModified),
  attributes: attributes(blob.attributes),
});

const version = (found) => ({
  ...entry(found.blob),
  version: plain('a version', found.version),
  latest: found.latest,
  deleted: found.deleted,
});

const page = (convert) => ({ entries, prefixes, next }) => ({
  entries: counted('entries in a page', entries, MAX_PAGE).map(convert),
  prefixes: counted('prefixes in a page', prefixes, MAX_PAGE).map(key),
  next: token(next),
});

function part(made, operation) {
  if (operation && made.number !== operation.number) throw broken('it returned another part than the one uploaded');
  if (operation?.length !== undefined && made.size !== operation.length) throw broken('it returned a part of another length');
  return {
    number: made.number,
    size: size(made.size),
    etag: plain('an entity tag', made.etag),
    lastModified: date(made.lastModified),
    attributes: attributes(made.attributes),
  };
}

function presigned({ url, headers }) {
  plain('a URL', url, MAX_URL);
  const result = Object.create(null);
  for (const [name, value] of counted('headers', headers, 128)) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw broken('it returned a header that HTTP does not have');
    result[name] = plain('a header', value, MAX_VALUE);
  }
  return { url, headers: result };
}

function outcomes(list, { blobs }) {
  if (list.length !== blobs.length) {
    const message = `delete several blobs: the plugin returned ${list.length} outcomes for ${blobs.length} blobs to delete`;
    throw new SandbucketError('integrity', message, { subject: 'blobs' });
  }
  return list.map((outcome) => (outcome.tag === 'err' ? ofPlugin(outcome.val) : undefined));
}

const CONVERT = {
  head: info,
  get: head,
  put: written,
  delete: (existed) => existed,
  'delete-many': outcomes,
  list: page(entry),
  'list-versions': page(version),
  copy: written,
  presign: presigned,
  'get-tags': (tags) => pairs('tags', tags),
  'set-tags': () => undefined,
  'create-upload': (id) => plain("an upload's id", id),
  'upload-part': part,
  'copy-part': (made, { number }) => part(made, { number }),
  'list-parts': ({ parts, next }) => ({ entries: counted('parts in a page', parts, MAX_PAGE).map((made) => part(made)), next: token(next) }),
  'complete-upload': written,
  'abort-upload': () => undefined,
  'list-uploads': ({ uploads, next }) => ({
    entries: counted('uploads in a page', uploads, MAX_PAGE).map((upload) => ({
      key: key(upload.key),
      id: plain("an upload's id", upload.id),
      initiated: date(upload.initiated),
    })),
    next: token(next),
  }),
  'create-bucket': () => undefined,
  'delete-bucket': () => undefined,
  'bucket-exists': (exists) => exists,
  'list-buckets': ({ buckets, next }) => ({
    entries: counted('buckets in a page', buckets, MAX_PAGE).map((bucket) => ({
      name: plain("a bucket's name", bucket.name),
      created: date(bucket.created),
      region: plain('a region', bucket.region),
    })),
    next: token(next),
  }),
};

/** The output of this operation as this package's values. */
export function validateOutput({ tag, val }, operation) {
  return CONVERT[tag](val, operation.val ?? {});
}
