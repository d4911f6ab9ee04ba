// Uploads: a blob written from a stream of unknown length, with one request if it fits a part, otherwise in parts.

import { Bytes, unreadable } from './body.js';
import { SandbucketError, invalidArgument } from './error.js';
import { PartBuffer, PartPieces } from './part-buffer.js';
import { MAX_PARTS, PartSizes } from './part-sizes.js';
import { sleep } from './timer.js';

/** Aborts per upload: parts that were in flight can outlive the first one. */
const ABORTS = 3;
/** Milliseconds that all of them may take. */
const CLEANUP_TIME = 60_000;

/** Kinds of errors after which a completion is certain not to have taken effect. After another, an abort could destroy the blob. */
const NOT_COMPLETED = new Set([
  'precondition-failed', 'not-found', 'not-modified', 'conflict', 'access-denied', 'throttled', 'invalid-settings',
  'invalid-argument', 'too-large', 'unsupported', 'archived', 'service', 'busy',
]);

async function* ofAny(pieces) {
  yield* pieces;
}

/** Cuts pieces into parts. The last one is marked: it may be of any length. */
async function* parts(pieces, sizes, doing) {
  // Bytes in memory stay as they are until the call ends.
  const Part = pieces instanceof Bytes ? PartPieces : PartBuffer;
  let [filling, number] = [new Part(), 1];
  const iterator = ofAny(pieces);
  try {
    for (;;) {
      let next;
      try {
        next = await iterator.next();
      } catch (error) {
        throw error.error ?? unreadable(doing, error);
      }
      if (next.done) break;
      let piece = next.value;
      // A full part is passed on once more bytes arrive, because it could be the last.
      for (let room; piece.length > (room = sizes.size(number) - filling.length); ) {
        if (room > 0) filling.push(piece.subarray(0, room), 0);
        yield { number, body: new Bytes(filling.take()), last: false };
        piece = piece.subarray(room);
        [filling, number] = [new Part(), number + 1];
      }
      if (piece.length > 0) filling.push(piece, sizes.size(number) - filling.length - piece.length);
    }
  } finally {
    iterator.return?.().catch(() => {});
  }
  yield { number, body: new Bytes(filling.take()), last: true };
}

/** Writes all bytes of a body in memory or of pieces, each of which may change once the next one is asked for. */
export async function upload(calls, key, pieces, { partSize, lengthHint, concurrency, put, common }) {
  const doing = `upload "${key}"`;
  const sizes = new PartSizes(partSize, lengthHint);
  const running = new Set();
  const done = [];
  const stop = new AbortController();
  const signal = common.signal ? AbortSignal.any([common.signal, stop.signal]) : stop.signal;
  let id;
  let failure;
  let completing = false;
  const settle = async (most) => {
    while (running.size > most && failure === undefined) await Promise.race(running);
    if (failure !== undefined) throw failure;
  };
  try {
    for await (const { number, body, last } of parts(pieces, sizes, doing)) {
      common.signal?.throwIfAborted();
      if (last && id === undefined) return await calls.put(key, body, put, common);
      if (last && body.length === 0) break;
      if (number > MAX_PARTS) {
        const message = `${doing}: the body is longer than ${MAX_PARTS} parts that begin with ${sizes.size(1)} bytes: set a larger partSize, or a lengthHint`;
        throw new SandbucketError('too-large', message, { subject: 'body' });
      }
      // The condition is that of the completion.
      id ??= await calls.createUpload(key, { ...put, condition: undefined }, common);
      await settle(sizes.concurrency(number, concurrency) - 1);
      const sending = calls
        .uploadPart(key, id, number, body, inherited(common, signal))
        .then((part) => done.push(part), (error) => (failure ??= error))
        .finally(() => running.delete(sending));
      running.add(sending);
    }
    await settle(0);
    done.sort((one, other) => one.number - other.number);
    completing = true;
    return await calls.completeUpload(key, id, done, put.condition, inherited(common, common.signal));
  } catch (error) {
    stop.abort();
    await Promise.allSettled(running);
    if (id !== undefined && (!completing || NOT_COMPLETED.has(error.kind))) await abort(calls, key, id, common);
    throw error;
  }
}

/** Of the common options, those that parts and completion share with the beginning: attributes are stored by that. */
function inherited(common, signal) {
  const attributes = Object.entries(common.attributes ?? {}).filter(([name]) => INHERITED.has(name));
  return { ...common, signal, attributes: attributes.length === 0 ? undefined : Object.fromEntries(attributes) };
}

const INHERITED = new Set(['sse-customer-key', 'request-payer', 'expected-bucket-owner']);

/** Aborts an upload, and sees that no part of it is left. What it cannot do is left to a lifecycle rule: another error counts. */
async function abort(calls, key, id, common) {
  // Neither takes a customer key: they do not touch content.
  const { 'sse-customer-key': _, ...attributes } = inherited(common).attributes ?? {};
  const options = { attributes, signal: AbortSignal.timeout(CLEANUP_TIME) };
  try {
    for (let attempt = 0; attempt < ABORTS; attempt += 1) {
      // The service may still accept an interrupted part.
      if (attempt > 0) await sleep(100 * attempt);
      await calls.abortUpload(key, id, options);
      const { entries } = await calls.listParts(key, id, { ...options, pageSize: 1 });
      if (entries.length === 0) return;
    }
  } catch {
    // The parts stay until they are removed by the service.
  }
}

/** Checks the sizes of an upload or a download. */
export function checkSizes(doing, { partSize, concurrency }, most = Number.MAX_SAFE_INTEGER) {
  if (!Number.isSafeInteger(partSize) || partSize < 1 || partSize > most) {
    throw invalidArgument('partSize', `${doing}: partSize is ${partSize}; it may be 1 to ${most} bytes`);
  }
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw invalidArgument('concurrency', `${doing}: concurrency is ${concurrency}; it must be a number above 0`);
  }
}
