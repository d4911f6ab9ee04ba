// A store: one bucket with settings, connections, and an egress policy.

import * as args from './arguments.js';
import { Once, exactly, source } from './body.js';
import { Calls, Listing, checkLength } from './calls.js';
import { Download } from './download.js';
import { Driver } from './driver.js';
import { Egress } from './egress.js';
import { SandbucketError, broken, invalidArgument, invalidSettings } from './error.js';
import { Sender } from './http.js';
import { Instances, withPlugin } from './instances.js';
import { IpPolicy } from './ip-policy.js';
import { DEFAULT_PART_SIZE } from './part-sizes.js';
import { sanitize, shown } from './text.js';
import { checkSizes, upload } from './upload.js';

const DEFAULT_CONCURRENCY = 4;
/** Blobs of one bulk delete: S3's maximum. */
const BULK = 1_000;

/** Limits, by their names in the options of `open`; times in milliseconds, sizes in bytes. */
export const LIMITS = {
  /** Calls at once; further ones wait. */
  concurrency: 64,
  /** Time of a call, in which a body of the caller's is sent and a blob is read not counted. */
  callTime: 600_000,
  /** Time without progress within an attempt; the setting `timeout` is usually shorter. */
  timeout: 600_000,
  /** Consecutive resumptions of a read without progress. */
  resumes: 3,
  /** Bytes of a body that `put` sends at once, and of a part. */
  maxPut: 5 * 2 ** 30,
};

function limitsOf(given = {}) {
  const limits = { ...LIMITS };
  for (const [name, value] of Object.entries(given)) {
    if (!(name in LIMITS)) throw invalidSettings(name, `limits: there is no limit ${JSON.stringify(shown(name))}`);
    if (!Number.isSafeInteger(value) || value < (name === 'resumes' ? 0 : 1)) {
      throw invalidSettings(name, `limits: ${name} is ${String(value)}; it must be a whole number above 0`);
    }
    limits[name] = value;
  }
  return limits;
}

/** Pairs of an object with names in kebab-case or camelCase. Blank values count as absent. */
export function settingsOf(given) {
  const settings = new Map();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    if (!['string', 'number', 'boolean'].includes(typeof value)) {
      throw invalidSettings(name, `settings: ${shown(name)} is neither text, a number, true nor false`);
    }
    const kebab = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (settings.has(kebab)) throw invalidSettings(kebab, `settings: ${shown(kebab)} is given twice`);
    if (String(value).trim() !== '') settings.set(kebab, String(value));
  }
  return [...settings];
}

/** The settings that the plugin has, documented by itself. */
export async function settings() {
  return withPlugin(({ store }) => store.settings());
}

/** The attributes of calls that the plugin knows. */
export async function attributes() {
  return withPlugin(({ store }) => store.attributes());
}

const OPEN = ['allowPrivate', 'allowPrivateEndpoint', 'allowNetworks', 'ca', 'allowInvalidCerts', 'limits'];

export class Store {
  #calls;
  #egress;
  #sender;

  /** Opens a store, of the plugin that this package contains unless a test gives another. */
  static async open(given, options = {}, plugin = undefined) {
    const unknown = Object.keys(options).find((name) => !OPEN.includes(name));
    if (unknown) throw invalidSettings(unknown, `open: there is no option ${JSON.stringify(shown(unknown))}; there are ${OPEN.join(', ')}`);
    const settings = settingsOf(given);
    const limits = limitsOf(options.limits);
    const store = new Store();
    store.#egress = new Egress(settings);
    const policy = new IpPolicy({
      allowPrivate: options.allowPrivate === true || (options.allowPrivateEndpoint === true && store.#egress.isLocal),
      allowNetworks: options.allowNetworks,
    });
    const instances = await Instances.open(settings, plugin);
    store.#sender = new Sender({ egress: store.#egress, policy, tls: { ca: options.ca, allowInvalidCerts: options.allowInvalidCerts } });
    const bucket = settings.find(([name]) => name === 'bucket')?.[1] ?? '';
    const place = ` in bucket ${JSON.stringify(shown(bucket))} at ${shown(store.#egress.authorities[0] ?? 'no endpoint')}`;
    store.#calls = new Calls(new Driver({ instances, sender: store.#sender, limits }), limits, place);
    return store;
  }

  /** Closes all connections. Calls in flight fail, and so do further ones. */
  close() {
    this.#sender.close();
  }

  [Symbol.dispose ?? Symbol.for('nodejs.dispose')]() {
    this.close();
  }

  /** The properties of a blob. */
  async head(key, options) {
    const { version, ...rest } = args.known('head', options, args.READ.filter((name) => name !== 'range'));
    return this.#calls.output(
      'head',
      {
        key: args.text('key', key),
        options: { conditions: args.conditions(rest), version: args.optional('version', version), call: this.#calls.call(rest) },
      },
      rest,
    );
  }

  #read(key, options) {
    const { range, version, signal, timeLimit, maxRetries, attributes, ...conditions } = options;
    args.text('key', key);
    return {
      range: args.range(range),
      conditions: args.conditions(conditions),
      version: args.optional('version', version),
      signal,
      timeLimit,
      maxRetries,
      attributes,
    };
  }

  /** Opens a blob, or a range of it, for reading. */
  async get(key, options) {
    return this.#calls.open(key, this.#read(key, args.known('get', options, args.READ)));
  }

  /** Reads a large blob over several connections. */
  async download(key, options) {
    const { partSize = DEFAULT_PART_SIZE, concurrency = DEFAULT_CONCURRENCY, ...read } = args.known('download', options, [
      ...args.READ, 'partSize', 'concurrency',
    ]);
    checkSizes(`download ${JSON.stringify(shown(String(key)))}`, { partSize, concurrency });
    return Download.open(this.#calls, key, this.#read(key, read), { partSize, concurrency });
  }

  #write({ contentType, metadata, ifAbsent, ifMatch, ...common }) {
    const put = {
      contentType: args.optional('contentType', contentType),
      metadata: args.pairs('metadata', metadata),
      condition: args.condition({ ifAbsent, ifMatch }),
    };
    return { put, common };
  }

  /** Writes a blob. A stream needs its length; `upload` takes one of any length. */
  async put(key, body, options) {
    const { length, ...rest } = args.known('put', options, [...args.WRITE, 'length']);
    const { put, common } = this.#write(rest);
    const doing = `put ${JSON.stringify(shown(args.text('key', key)))}`;
    const given = source(body);
    const size = length ?? given.bytes?.length ?? given.length;
    if (size === undefined) {
      throw invalidArgument('length', `${doing}: a stream needs the option \`length\`; \`upload\` takes a stream of any length`);
    }
    checkLength(doing, size);
    if (size > this.#calls.limits.maxPut) {
      const message = `${doing}: the body has ${size} bytes; the limit maxPut allows ${this.#calls.limits.maxPut} at once: \`upload\` writes it in parts`;
      throw new SandbucketError('too-large', message, { subject: 'body' });
    }
    if (given.bytes) {
      if (given.bytes.length !== size) {
        throw invalidArgument('length', `${doing}: the body has ${given.bytes.length} bytes, and ${size} were announced`);
      }
      return this.#calls.put(key, given.bytes, put, common);
    }
    // A stream is gathered first if digests must precede the body, if a conditional write may have to be sent again after a lost
    // response, or if the announced length is 0, which would hide excess bytes.
    if (size === 0 || this.#calls.wantedDigests.length > 0 || put.condition !== undefined) {
      const sizes = { partSize: Math.min(DEFAULT_PART_SIZE, this.#calls.limits.maxPut), concurrency: DEFAULT_CONCURRENCY };
      return upload(this.#calls, key, exactly(given.pieces, size, doing), { ...sizes, lengthHint: size, put, common });
    }
    return this.#calls.put(key, new Once(given.pieces, size, doing), put, common);
  }

  /** Writes a blob from a body of any length, in parts if it is long. It appears at once, or not at all. */
  async upload(key, body, options) {
    const { partSize = DEFAULT_PART_SIZE, concurrency = DEFAULT_CONCURRENCY, lengthHint, ...rest } = args.known('upload', options, [
      ...args.WRITE, 'partSize', 'concurrency', 'lengthHint',
    ]);
    const { put, common } = this.#write(rest);
    checkSizes(`upload ${JSON.stringify(shown(args.text('key', key)))}`, { partSize, concurrency }, this.#calls.limits.maxPut);
    const { bytes, pieces, length } = source(body);
    const hint = args.count('lengthHint', lengthHint) ?? bytes?.length ?? length;
    return upload(this.#calls, key, bytes ?? pieces, { partSize, concurrency, lengthHint: hint, put, common });
  }

  /** Deletes a blob. The result is whether it existed, if the service reports it. */
  async delete(key, options) {
    const { version, ...common } = args.known('delete', options, ['version']);
    const record = { version: args.optional('version', version), call: this.#calls.call(common) };
    return this.#calls.output('delete', { key: args.text('key', key), options: record }, common);
  }

  /** Deletes any number of blobs: for each its key and, if it was not deleted, its error. */
  async deleteMany(blobs, options) {
    const common = args.known('deleteMany', options, []);
    const all = [...blobs].map(args.blobRef);
    const outcomes = [];
    for (let at = 0; at < all.length; at += BULK) {
      const some = all.slice(at, at + BULK);
      const errors = await this.#calls.output('delete-many', { blobs: some, options: { call: this.#calls.call(common) } }, common);
      errors.forEach((error, place) => outcomes.push({ ...some[place], error }));
    }
    return outcomes;
  }

  #list(tag, doing, options, names) {
    const { prefix, pageSize, continuation, delimiter, startAfter, ...common } = args.known(doing, options, names);
    const record = {
      prefix: args.optional('prefix', prefix),
      pageSize: args.count('pageSize', pageSize),
      call: this.#calls.call(common),
      ...(names.includes('delimiter')
        ? { delimiter: args.optional('delimiter', delimiter), startAfter: args.optional('startAfter', startAfter) }
        : {}),
    };
    const page = (next) => this.#calls.output(tag, { ...record, continuation: next }, common);
    return new Listing(page, args.optional('continuation', continuation));
  }

  /** The blobs of the bucket: an async iterable. */
  list(options) {
    return this.#list('list', 'list', options, ['prefix', 'delimiter', 'startAfter', 'pageSize', 'continuation']);
  }

  /** All versions of the blobs. */
  listVersions(options) {
    return this.#list('list-versions', 'listVersions', options, ['prefix', 'delimiter', 'startAfter', 'pageSize', 'continuation']);
  }

  /** Uploads that were neither completed nor aborted. */
  listUploads(options) {
    return this.#list('list-uploads', 'listUploads', options, ['prefix', 'pageSize', 'continuation']);
  }

  /** Aborts an upload of `listUploads`. */
  async abortUpload(key, id, options) {
    const common = args.known('abortUpload', options, []);
    return this.#calls.abortUpload(args.text('key', key), args.text('id', id), common);
  }

  /** Copies a blob within the service: up to 5 GiB on S3. The source is a key, or `{ key, bucket, version }`. */
  async copy(from, to, options) {
    const { contentType, metadata, ifAbsent, ifMatch, source: conditions = {}, ...common } = args.known('copy', options, [
      'contentType', 'metadata', 'ifAbsent', 'ifMatch', 'source',
    ]);
    const val = {
      source: { ...args.blobRef(from), bucket: args.optional('bucket', from.bucket) },
      to: args.text('to', to),
      options: {
        sourceConditions: args.conditions(conditions),
        condition: args.condition({ ifAbsent, ifMatch }),
        properties: contentType === undefined && metadata === undefined
          ? undefined
          : { contentType: args.optional('contentType', contentType), metadata: args.pairs('metadata', metadata) },
        call: this.#calls.call(common),
      },
    };
    return this.#calls.output('copy', val, common);
  }

  /** A URL, and headers to send with it, that anybody can use until it expires. `expiresIn` is in seconds. */
  async presign(method, key, options) {
    const { expiresIn = 900, headers, version, ...common } = args.known('presign', options, ['expiresIn', 'headers', 'version']);
    if (!['get', 'head', 'put', 'delete'].includes(method)) {
      throw invalidArgument('method', `presign: the method is ${JSON.stringify(shown(String(method)))}, not get, head, put or delete`);
    }
    const val = {
      method,
      key: args.text('key', key),
      expiresIn: args.duration('expiresIn', typeof expiresIn === 'number' ? expiresIn * 1000 : expiresIn),
      options: {
        headers: args.pairs('headers', headers)?.map(([name, value]) => [name.toLowerCase(), value]),
        version: args.optional('version', version),
        call: this.#calls.call(common),
      },
    };
    const presigned = await this.#calls.output('presign', val, common);
    const authority = /^(https?):\/\/([^/?#]*)/.exec(presigned.url);
    const { refused } = authority ? this.#egress.check(authority[1] === 'https', authority[2]) : { refused: 'it is no URL' };
    if (refused) throw broken(`presign: ${sanitize(refused, 500)}`);
    return presigned;
  }

  /** The tags of a blob. */
  async tags(key, options) {
    const { version, ...common } = args.known('tags', options, ['version']);
    const record = { version: args.optional('version', version), call: this.#calls.call(common) };
    return this.#calls.output('get-tags', { key: args.text('key', key), options: record }, common);
  }

  /** Replaces the tags of a blob. */
  async setTags(key, tags, options) {
    const { version, ...common } = args.known('setTags', options, ['version']);
    const record = { version: args.optional('version', version), call: this.#calls.call(common) };
    return this.#calls.output('set-tags', { key: args.text('key', key), tags: args.pairs('tags', tags) ?? [], options: record }, common);
  }

  async #bucket(tag, doing, name, options) {
    const common = args.known(doing, options, []);
    return this.#calls.output(tag, { name: args.text('name', name), options: { call: this.#calls.call(common) } }, common);
  }

  /** Creates a bucket. */
  async createBucket(name, options) {
    return this.#bucket('create-bucket', 'createBucket', name, options);
  }

  /** Deletes an empty bucket. */
  async deleteBucket(name, options) {
    return this.#bucket('delete-bucket', 'deleteBucket', name, options);
  }

  /** Whether a bucket exists. */
  async bucketExists(name, options) {
    return this.#bucket('bucket-exists', 'bucketExists', name, options);
  }

  /** The buckets of the account. */
  listBuckets(options) {
    return this.#list('list-buckets', 'listBuckets', options, ['prefix', 'pageSize', 'continuation']);
  }
}
