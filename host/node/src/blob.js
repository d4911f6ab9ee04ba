// A blob being read: pieces are passed on as they arrive, and an interrupted read resumes.

import { Readable } from 'node:stream';
import { hasher } from './checksum.js';
import { SandbucketError } from './error.js';
import { sleep, startTimer } from './timer.js';

/** Milliseconds of the first pause before a read resumes again; it doubles with each consecutive resumption. */
const FIRST_BACKOFF = 50;

/** Whether two blobs with this entity tag have the same bytes. */
export const isStrong = (etag) => etag !== undefined && !/^W\//i.test(etag);

/** A web stream of these pieces, which reads no further ahead than it is asked to. */
export function webStream(pieces) {
  const iterator = pieces[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await iterator.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The method of a body that gives its pieces. */
export const PIECES = Symbol('pieces');

/** Ways to read a body once. */
export class Body {
  /** The pieces of the body, in order. */
  [Symbol.asyncIterator]() {
    const pieces = this[PIECES]();
    return {
      next: () => pieces.next(),
      // A generator that was not started would not end what it did not begin.
      return: async () => {
        this.cancel();
        return pieces.return();
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The body as a web stream. */
  stream() {
    return webStream(this);
  }

  /** The body as a stream of Node. */
  readable() {
    return Readable.from(this, { objectMode: false });
  }

  /** The whole body in memory. */
  async bytes() {
    const pieces = [];
    for await (const piece of this) pieces.push(piece);
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
  }

  /** The whole body as text of UTF-8. */
  async text() {
    return new TextDecoder().decode(await this.bytes());
  }

  /** The whole body, parsed as JSON. */
  async json() {
    return JSON.parse(await this.text());
  }
}

/** A blob, or a range of it, being read. Its body can be read once. */
export class BlobReader extends Body {
  #calls;
  #key;
  #options;
  #body;
  #bodyRange;
  #position;
  #end;
  #check;
  #attempts = 1;
  #started = false;
  #over = false;
  #abort;
  #timer;
  #overdue;

  /** @param {{ output: object, body: import('./http.js').ResponseBody }} opened */
  constructor(calls, key, options, { output, body }, deadline) {
    super();
    this.#calls = calls;
    this.#key = key;
    this.#options = options;
    this.#body = body;
    this.#bodyRange = output.bodyRange;
    this.#position = output.range.start;
    this.#end = output.range.end;
    // The checksum is of what the service sends: it is of no use if a part is cut off.
    const whole = output.bodyRange.start === output.range.start && output.bodyRange.end === output.range.end;
    this.#check = output.digest && whole ? { hash: hasher(output.digest.algorithm), expected: Buffer.from(output.digest.value) } : undefined;
    this.info = output.info;
    this.range = { start: output.range.start, end: output.range.end === Infinity ? undefined : output.range.end };
    const { signal } = options;
    this.#abort = () => this.cancel();
    signal?.addEventListener('abort', this.#abort, { once: true });
    if (deadline !== undefined) {
      this.#timer = startTimer(Math.max(deadline.at - performance.now(), 0), () => {
        this.#overdue = deadline.limit;
        this.#body?.destroy();
      });
      this.#timer.unref();
    }
  }

  /** Whether the response has other bytes than the range, as of a service that ignores ranges. */
  get ignoresRange() {
    return this.#bodyRange.start !== this.range.start || this.#bodyRange.end !== this.#end;
  }

  /** Gives the rest up, and closes its connection. */
  cancel() {
    this.#over = true;
    this.#release();
    this.#body?.destroy();
  }

  #release() {
    clearTimeout(this.#timer);
    this.#options.signal?.removeEventListener('abort', this.#abort);
  }

  async *[PIECES]() {
    if (this.#started) throw new TypeError('the body of a blob can be read once');
    this.#started = true;
    let complete = false;
    try {
      yield* this.#pieces();
      complete = true;
    } finally {
      if (!complete) this.#body?.destroy();
      this.#over = true;
      this.#release();
    }
  }

  async *#pieces() {
    let resumed = 0;
    let restarts = 0;
    while (this.#position < this.#end) {
      this.#options.signal?.throwIfAborted();
      if (this.#over) throw new SandbucketError('io', `get "${this.#key}": the read was cancelled`);
      let failure;
      let piece;
      try {
        piece = await this.#body.next();
      } catch (error) {
        failure = error;
      }
      this.#options.signal?.throwIfAborted();
      if (this.#overdue !== undefined) throw this.#lateError();
      if (failure || (piece === undefined && this.#bodyRange.end !== Infinity)) {
        const restarted = await this.#resume(failure, resumed, restarts);
        resumed += 1;
        if (restarted) restarts += 1;
        continue;
      }
      if (piece === undefined) {
        this.#endedAt(this.#bodyRange.start);
        break;
      }
      const start = this.#bodyRange.start;
      this.#bodyRange = { start: start + piece.length, end: this.#bodyRange.end };
      if (this.#bodyRange.start > this.#bodyRange.end || (this.#bodyRange.start === this.#bodyRange.end && this.#body.hasMore())) {
        throw this.#wrong('its body goes on after the bytes announced');
      }
      const cut = piece.subarray(Math.max(this.#position - start, 0), Math.max(this.#end - start, 0));
      if (cut.length === 0) continue;
      resumed = 0;
      this.#position += cut.length;
      this.#check?.hash.update(cut);
      if (this.#position === this.#end) this.#complete();
      yield cut;
    }
    if (this.#position === this.#end) this.#complete();
  }

  /** Ends a body that has all its bytes: its checksum must match, and its connection is kept if nothing is left. */
  #complete() {
    const check = this.#check;
    this.#check = undefined;
    if (check && !check.hash.digest().equals(check.expected)) {
      throw this.#wrong('its checksum does not match the received bytes');
    }
    const body = this.#body;
    this.#body = undefined;
    if (this.#bodyRange.start === this.#bodyRange.end || this.#bodyRange.end === Infinity) body?.finish();
    else body?.destroy();
  }

  /** Sets the size of a body of previously unknown length. */
  #endedAt(size) {
    const { range } = this.#options;
    if (size <= this.range.start && range !== undefined && range.tag !== 'whole') {
      throw this.#calls.failure('invalid-range', 'range', 'get', this.#key, `no byte of its ${size} bytes is in the range`);
    }
    this.info.size = size;
    this.range.end = Math.max(size, this.range.start);
    this.#end = this.range.end;
  }

  #announced() {
    return this.#end === Infinity ? 'bytes, where no length was announced' : `of the ${this.#end - this.range.start} bytes announced`;
  }

  #wrong(what, kind = 'integrity', cause = undefined) {
    const details = { retryable: true, attempts: this.#attempts, cause };
    return this.#calls.failure(kind, 'body', 'get', this.#key, `the response is invalid: ${what}`, details);
  }

  #lateError() {
    const what = `its time limit of ${this.#overdue} ms ran out after ${this.#position - this.range.start} ${this.#announced()}`;
    return this.#calls.failure('timeout', 'time-limit', 'get', this.#key, what, { retryable: true, attempts: this.#attempts });
  }

  /** Asks for the rest of an interrupted read; returns whether the service began again from the blob's beginning. */
  async #resume(failure, resumed, restarts) {
    const most = this.#calls.limits.resumes;
    const { etag, lastModified, size } = this.info;
    this.#body.destroy();
    if (etag === undefined || resumed >= most || restarts >= most) {
      let what = `its body broke off after ${this.#position - this.range.start} ${this.#announced()}: ${failure?.message ?? 'it ended'}`;
      if (etag === undefined) what += '; it has no ETag to verify that the rest has the same content';
      else if (restarts > 0) what += `; the service ignores ranges, and the blob was read again from its beginning ${restarts} times`;
      throw this.#wrong(what, failure?.error === 'connection-read-timeout' ? 'timeout' : 'integrity', failure);
    }
    if (resumed > 0) await sleep(FIRST_BACKOFF * 2 ** Math.min(resumed, 6));
    this.#attempts += 1;
    const range = this.#end === Infinity
      ? { tag: 'from', val: BigInt(this.#position) }
      : { tag: 'within', val: { start: BigInt(this.#position), end: BigInt(this.#end) } };
    // Only a strong ETag can be a condition. The response is checked in any case, because some services ignore conditions.
    const conditions = isStrong(etag) ? { ifMatch: etag } : undefined;
    const { output, body } = await this.#calls.get(this.#key, { ...this.#options, range, conditions });
    const now = output.info;
    const changed = now.etag !== etag ||
      (size !== undefined && now.size !== undefined && now.size !== size) ||
      // A weak ETag may stay the same although the bytes change.
      (!isStrong(etag) && now.lastModified?.getTime() !== lastModified?.getTime());
    if (changed) {
      body.destroy();
      const what = 'the blob was changed while it was being read';
      throw this.#calls.failure('precondition-failed', 'if-match', 'get', this.#key, what, { attempts: this.#attempts });
    }
    this.#body = body;
    this.#bodyRange = output.bodyRange;
    if (now.size !== undefined) {
      this.info.size = now.size;
      this.#end = Math.min(this.#end, now.size);
      this.range.end = this.#end;
    }
    return output.bodyRange.start < output.range.start;
  }
}
