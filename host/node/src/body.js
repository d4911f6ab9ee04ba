// Bodies of writes: bytes in memory, which can be sent again, and streams, which can be read once.

import { Readable } from 'node:stream';
import { SandbucketError, invalidArgument } from './error.js';

/** A body in memory. */
export class Bytes {
  /** @param {Uint8Array[]} pieces */
  constructor(pieces) {
    this.pieces = pieces;
    this.length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  }

  *[Symbol.iterator]() {
    yield* this.pieces;
  }
}

/** The caller's source failed, or has another length than announced. Ends the operation as it is. */
export class SourceFault extends Error {
  constructor(error) {
    super(error.message);
    this.error = error;
  }
}

/** A stream of an announced length, which can be read once. */
export class Once {
  #pieces;
  #doing;
  consumed = false;

  constructor(pieces, length, doing) {
    this.#pieces = pieces;
    this.length = length;
    this.#doing = doing;
  }

  async *[Symbol.asyncIterator]() {
    this.consumed = true;
    yield* exactly(this.#pieces, this.length, this.#doing);
  }
}

/** Passes the pieces on, and fails if they do not have `length` bytes in total. */
export async function* exactly(pieces, length, doing) {
  const wrong = (received) =>
    new SourceFault(invalidArgument('body', `${doing}: the body has ${received} bytes, and ${length} were announced`));
  let received = 0;
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      let next;
      try {
        next = await iterator.next();
      } catch (error) {
        throw new SourceFault(unreadable(doing, error));
      }
      if (next.done) break;
      received += next.value.length;
      if (received > length) throw wrong(`more than ${length}`);
      yield next.value;
    }
  } finally {
    iterator.return?.().catch(() => {});
  }
  if (received < length) throw wrong(received);
}

/** The error of a source that cannot be read. */
export const unreadable = (doing, error) =>
  error instanceof SandbucketError
    ? error
    : new SandbucketError('io', `${doing}: reading the body: ${error?.message ?? error}`, { cause: error, subject: 'body' });

const toBytes = (piece) => {
  if (typeof piece === 'string') return Buffer.from(piece);
  if (ArrayBuffer.isView(piece)) return new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  if (piece instanceof ArrayBuffer || piece instanceof SharedArrayBuffer) return new Uint8Array(piece);
  return undefined;
};

async function* ofIterable(source) {
  for await (const piece of source) {
    const bytes = toBytes(piece);
    if (bytes === undefined) throw new TypeError(`a piece of the body is ${piece === null ? 'null' : typeof piece}, not bytes or text`);
    if (bytes.length > 0) yield bytes;
  }
}

/**
 * What a caller gave as a body: `{ bytes }` for a body in memory, or `{ pieces, length }` for a stream.
 * @returns {{ bytes?: Bytes, pieces?: AsyncIterable<Uint8Array>, length?: number }}
 */
export function source(body) {
  const bytes = toBytes(body);
  if (bytes !== undefined) return { bytes: new Bytes(bytes.length === 0 ? [] : [bytes]) };
  if (body instanceof Blob) return { pieces: ofIterable(body.stream()), length: body.size };
  if (body instanceof Readable || typeof body?.[Symbol.asyncIterator] === 'function') return { pieces: ofIterable(body) };
  if (typeof body?.getReader === 'function') return { pieces: ofIterable(webPieces(body)) };
  if (typeof body?.[Symbol.iterator] === 'function') return { pieces: ofIterable(body) };
  throw invalidArgument(
    'body',
    'the body is neither bytes, text, a Blob, a stream, nor an iterable of bytes: ' +
      `it is ${body === null ? 'null' : typeof body}`,
  );
}

// A ReadableStream of another realm or a polyfill, without an iterator.
async function* webPieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
