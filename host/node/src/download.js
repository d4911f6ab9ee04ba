// Downloads: a large blob read over several connections concurrently, in order.

import { Body, PIECES, isStrong } from './blob.js';

/** A blob being read by ranges. Its body can be read once. */
export class Download extends Body {
  #calls;
  #key;
  #options;
  /** The first part, until it is read, and for good. */
  #first;
  #opened;
  #stop = new AbortController();
  #next;
  #end;
  #partSize;
  #concurrency;

  /** Opens the first part, which determines the others. */
  static async open(calls, key, options, { partSize, concurrency }) {
    const requested = options.range;
    const [start, end] = bounds(requested);
    const part = { tag: 'within', val: { start: BigInt(start), end: BigInt(Math.min(end, start + partSize)) } };
    let first;
    try {
      first = await calls.open(key, { ...options, range: end > start ? part : requested });
    } catch (error) {
      // An empty blob has no first byte.
      if (error.kind !== 'invalid-range' || requested !== undefined) throw error;
      first = await calls.open(key, options);
    }
    const { size, etag } = first.info;
    const stop = Math.max(Math.min(end, size ?? Infinity), first.range.end ?? Infinity);
    // The content of the parts could differ unnoticed, or their number is unknown, or the service sends the whole blob anyway.
    const inOneResponse = !isStrong(etag) || size === undefined || first.ignoresRange;
    if (inOneResponse && (first.range.end ?? Infinity) < stop) {
      first.cancel();
      first = await calls.open(key, { ...options, range: requested });
    }
    const download = new Download();
    const last = first.range.end ?? Infinity;
    Object.assign(download, { info: first.info, range: { start: first.range.start, end: Number.isFinite(stop) ? stop : undefined } });
    download.#calls = calls;
    download.#key = key;
    download.#options = { ...options, conditions: { ...options.conditions, ifMatch: etag } };
    download.#first = first;
    download.#opened = first;
    [download.#next, download.#end] = [last, inOneResponse ? last : stop];
    [download.#partSize, download.#concurrency] = [partSize, concurrency];
    return download;
  }

  /** Gives the rest up. */
  cancel() {
    this.#stop.abort();
    this.#opened.cancel();
  }

  async *[PIECES]() {
    if (!this.#first) throw new TypeError('the body of a blob can be read once');
    const first = this.#first;
    this.#first = undefined;
    const { signal: given } = this.#options;
    const signal = given ? AbortSignal.any([given, this.#stop.signal]) : this.#stop.signal;
    /** Parts that are being read ahead, each into memory. */
    const ahead = [];
    const fill = () => {
      while (ahead.length < this.#concurrency - 1 && this.#next < this.#end) ahead.push(this.#part(signal));
    };
    try {
      fill();
      yield* first;
      for (;;) {
        if (ahead.length === 0 && this.#next < this.#end) ahead.push(this.#part(signal));
        const part = ahead.shift();
        if (part === undefined) return;
        fill();
        const { error, bytes } = await part;
        if (error) throw error;
        yield bytes;
      }
    } finally {
      this.cancel();
    }
  }

  /** Reads the next part into memory. The error is a value, so that none is unhandled before its part is read. */
  #part(signal) {
    const start = this.#next;
    this.#next = Math.min(start + this.#partSize, this.#end);
    const range = { tag: 'within', val: { start: BigInt(start), end: BigInt(this.#next) } };
    const read = async () => {
      const blob = await this.#calls.open(this.#key, { ...this.#options, range, signal });
      // Some services ignore conditions.
      if (blob.info.etag !== this.info.etag || blob.info.size !== this.info.size) {
        blob.cancel();
        const what = 'the blob was changed while it was being read';
        throw this.#calls.failure('precondition-failed', 'if-match', 'download', this.#key, what);
      }
      // Not joined in the end, which would take the memory twice.
      const bytes = Buffer.allocUnsafeSlow(blob.range.end - blob.range.start);
      let filled = 0;
      for await (const piece of blob) {
        bytes.set(piece, filled);
        filled += piece.length;
      }
      return { bytes };
    };
    return read().catch((error) => ({ error }));
  }
}

/** The first and the end of what is requested, as far as it is known; the last bytes are read at once. */
function bounds(range) {
  switch (range?.tag) {
    case undefined:
      return [0, Infinity];
    case 'from':
      return [Number(range.val), Infinity];
    case 'within':
      return [Number(range.val.start), Number(range.val.end)];
    default:
      return [0, 0];
  }
}
