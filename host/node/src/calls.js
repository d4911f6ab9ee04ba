// The operations of a store: each converts its arguments to an operation of the contract.

import * as args from './arguments.js';
import { BlobReader } from './blob.js';
import { Bytes } from './body.js';
import { digests } from './checksum.js';
import { SandbucketError, invalidArgument } from './error.js';
import { shown } from './text.js';

export class Calls {
  #driver;
  #place;

  constructor(driver, limits, place) {
    this.#driver = driver;
    this.#place = place;
    this.limits = limits;
  }

  get wantedDigests() {
    return this.#driver.instances.wantedDigests;
  }

  /** An error that the host finds itself, worded like the plugin's: with key, bucket and endpoint. */
  failure(kind, subject, operation, key, what, details) {
    return new SandbucketError(kind, `${operation} ${JSON.stringify(shown(key))}${this.#place}: ${what}`, { subject, ...details });
  }

  /** Runs an operation with the common options of a call. */
  async run(tag, val, { signal, timeLimit } = {}, body) {
    return this.#driver.run({ tag, val }, { body, timeLimit, signal });
  }

  async output(tag, val, common, body) {
    return (await this.run(tag, val, common, body)).output;
  }

  call(common) {
    return args.call(common, this.limits.callTime);
  }

  /** A get with options in the contract's form. */
  async get(key, { range, conditions, version, ...common }) {
    return this.run('get', { key, options: { range, conditions, version, call: this.call(common) } }, common);
  }

  /** Opens a blob for reading. A time limit of the caller's is that of the whole read; the default one ends with the header. */
  async open(key, options) {
    const { range } = options;
    const limit = options.timeLimit;
    const deadline = limit === undefined ? undefined : { limit, at: performance.now() + limit };
    if ((range?.tag === 'within' && range.val.start === range.val.end) || (range?.tag === 'last' && range.val === 0n)) {
      return this.#openEmpty(key, options);
    }
    return new BlobReader(this, key, options, await this.get(key, options), deadline);
  }

  /** An empty range of a blob that must exist, under the same conditions. HTTP cannot express one. */
  async #openEmpty(key, { range, conditions, version, ...common }) {
    const info = await this.output('head', { key, options: { conditions, version, call: this.call(common) } }, common);
    const start = range.tag === 'within' ? Math.min(Number(range.val.start), info.size ?? 0) : (info.size ?? 0);
    const none = { start, end: start };
    return new BlobReader(this, key, common, { output: { info, range: none, bodyRange: none } });
  }

  #putOptions({ contentType, metadata, condition }, common, sums) {
    return { contentType, metadata, condition, digests: sums?.length > 0 ? sums : undefined, call: this.call(common) };
  }

  /** Writes a blob from memory, or from a stream that can be read once if no digest must precede it. */
  async put(key, body, put, common) {
    const sums = body instanceof Bytes ? await digests(body, this.wantedDigests, common.signal) : undefined;
    const val = { key, length: BigInt(body.length), options: this.#putOptions(put, common, sums) };
    return this.output('put', val, common, body);
  }

  async createUpload(key, put, common) {
    return this.output('create-upload', { key, options: this.#putOptions(put, common) }, common);
  }

  async uploadPart(key, upload, number, body, common) {
    const sums = await digests(body, this.wantedDigests, common.signal);
    const options = { digests: sums.length > 0 ? sums : undefined, call: this.call({ ...common, writeId: undefined }) };
    return this.output('upload-part', { key, upload, number, length: BigInt(body.length), options }, common, body);
  }

  async completeUpload(key, upload, parts, condition, common) {
    const list = parts.map(({ number, size, etag, attributes }) => ({
      number: Number(number),
      size: BigInt(size),
      etag: args.text('etag', etag),
      attributes: args.pairs('attributes', attributes) ?? [],
    }));
    const options = { condition, call: this.call({ ...common, writeId: undefined }) };
    return this.output('complete-upload', { key, upload, parts: list, options }, common);
  }

  async abortUpload(key, upload, common) {
    return this.output('abort-upload', { key, upload, options: { call: this.call(common) } }, common);
  }

  async listParts(key, upload, { continuation, pageSize, ...common }) {
    const options = { continuation, pageSize, call: this.call(common) };
    return this.output('list-parts', { key, upload, options }, common);
  }
}

/** An async iterable of all entries of a listing; `pages()` has them with their common prefixes. */
export class Listing {
  #page;
  #first;

  /** @param {(continuation: string | undefined) => Promise<{ entries: object[], next?: string }>} page */
  constructor(page, first) {
    this.#page = page;
    this.#first = first;
  }

  /** The pages, each asked for when it is needed. */
  async *pages() {
    const seen = new Set();
    let continuation = this.#first;
    do {
      const page = await this.#page(continuation);
      yield page;
      continuation = page.next;
      if (continuation !== undefined && seen.has(continuation)) {
        const message = `list: the service's pages go in a circle: after ${seen.size} pages it gave a continuation that it had ` +
          'given before, so that the rest cannot be listed';
        throw new SandbucketError('integrity', message, { subject: 'continuation' });
      }
      seen.add(continuation);
    } while (continuation !== undefined);
  }

  async *[Symbol.asyncIterator]() {
    for await (const { entries } of this.pages()) yield* entries;
  }

  /** All entries in memory. */
  async toArray() {
    const all = [];
    for await (const entry of this) all.push(entry);
    return all;
  }
}

/** Fails if a length of the caller's is none. */
export function checkLength(doing, length) {
  if (!Number.isSafeInteger(length) || length < 0) throw invalidArgument('length', `${doing}: the length is ${String(length)}`);
}
