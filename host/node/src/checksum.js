// Digests and checksums of bodies.

import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import * as zlib from 'node:zlib';

/** Bytes hashed before the event loop runs. */
const SLICE = 1 << 20;

/** Tables of a reflected CRC-32, for eight bytes at a time. */
function tables32(polynomial) {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256));
  for (let n = 0; n < 256; n += 1) {
    let crc = n;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    tables[0][n] = crc;
  }
  for (let n = 0; n < 256; n += 1) {
    for (let k = 1; k < 8; k += 1) tables[k][n] = (tables[k - 1][n] >>> 8) ^ tables[0][tables[k - 1][n] & 0xff];
  }
  return tables;
}

class Crc32 {
  #tables;
  #crc = 0xffffffff;

  constructor(tables) {
    this.#tables = tables;
  }

  update(piece) {
    const [t0, t1, t2, t3, t4, t5, t6, t7] = this.#tables;
    let crc = this.#crc;
    let at = 0;
    for (const end = piece.length - 7; at < end; at += 8) {
      crc ^= piece[at] | (piece[at + 1] << 8) | (piece[at + 2] << 16) | (piece[at + 3] << 24);
      crc = t7[crc & 0xff] ^ t6[(crc >>> 8) & 0xff] ^ t5[(crc >>> 16) & 0xff] ^ t4[crc >>> 24] ^
        t3[piece[at + 4]] ^ t2[piece[at + 5]] ^ t1[piece[at + 6]] ^ t0[piece[at + 7]];
    }
    for (; at < piece.length; at += 1) crc = (crc >>> 8) ^ t0[(crc ^ piece[at]) & 0xff];
    this.#crc = crc;
  }

  digest() {
    const value = Buffer.alloc(4);
    value.writeUInt32BE((this.#crc ^ 0xffffffff) >>> 0);
    return value;
  }
}

/** The same by zlib, which Node has from 20.15 and 22.2 on. */
class ZlibCrc32 {
  #crc = 0;

  update(piece) {
    this.#crc = zlib.crc32(piece, this.#crc);
  }

  digest() {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(this.#crc);
    return value;
  }
}

/** Tables of CRC-64/NVME in halves, for eight bytes at a time. */
function tables64() {
  const [high, low] = [0x9a6c9329, 0xac4bc9b5];
  const tables = Array.from({ length: 8 }, () => [new Uint32Array(256), new Uint32Array(256)]);
  for (let n = 0; n < 256; n += 1) {
    let [h, l] = [0, n];
    for (let bit = 0; bit < 8; bit += 1) {
      const odd = l & 1;
      l = ((l >>> 1) | (h << 31)) >>> 0;
      h >>>= 1;
      if (odd) [h, l] = [(h ^ high) >>> 0, (l ^ low) >>> 0];
    }
    [tables[0][0][n], tables[0][1][n]] = [h, l];
  }
  const [h0, l0] = tables[0];
  for (let n = 0; n < 256; n += 1) {
    for (let k = 1; k < 8; k += 1) {
      const [h, l] = [tables[k - 1][0][n], tables[k - 1][1][n]];
      tables[k][0][n] = (h >>> 8) ^ h0[l & 0xff];
      tables[k][1][n] = ((l >>> 8) | (h << 24)) ^ l0[l & 0xff];
    }
  }
  return tables;
}

class Crc64 {
  #tables;
  #high = 0xffffffff;
  #low = 0xffffffff;

  constructor(tables) {
    this.#tables = tables;
  }

  update(piece) {
    const t = this.#tables;
    let [h, l] = [this.#high, this.#low];
    let at = 0;
    for (const end = piece.length - 7; at < end; at += 8) {
      const a = l ^ (piece[at] | (piece[at + 1] << 8) | (piece[at + 2] << 16) | (piece[at + 3] << 24));
      const b = h ^ (piece[at + 4] | (piece[at + 5] << 8) | (piece[at + 6] << 16) | (piece[at + 7] << 24));
      const [p, q, r, s] = [a & 0xff, (a >>> 8) & 0xff, (a >>> 16) & 0xff, a >>> 24];
      const [u, v, w, x] = [b & 0xff, (b >>> 8) & 0xff, (b >>> 16) & 0xff, b >>> 24];
      h = t[7][0][p] ^ t[6][0][q] ^ t[5][0][r] ^ t[4][0][s] ^ t[3][0][u] ^ t[2][0][v] ^ t[1][0][w] ^ t[0][0][x];
      l = t[7][1][p] ^ t[6][1][q] ^ t[5][1][r] ^ t[4][1][s] ^ t[3][1][u] ^ t[2][1][v] ^ t[1][1][w] ^ t[0][1][x];
    }
    const [h0, l0] = t[0];
    for (; at < piece.length; at += 1) {
      const n = (l ^ piece[at]) & 0xff;
      l = ((l >>> 8) | (h << 24)) ^ l0[n];
      h = (h >>> 8) ^ h0[n];
    }
    [this.#high, this.#low] = [h, l];
  }

  digest() {
    const value = Buffer.alloc(8);
    value.writeUInt32BE((this.#high ^ 0xffffffff) >>> 0);
    value.writeUInt32BE((this.#low ^ 0xffffffff) >>> 0, 4);
    return value;
  }
}

const lazy = (make) => {
  let made;
  return () => (made ??= make());
};
const IEEE = lazy(() => tables32(0xedb88320));
const CASTAGNOLI = lazy(() => tables32(0x82f63b78));
const NVME = lazy(tables64);

/** Bytes of each algorithm's output. */
export const DIGEST_LENGTH = { sha256: 32, md5: 16, crc32: 4, crc32c: 4, crc64nvme: 8 };

/** A hasher with `update(piece)` and `digest()`, which is a Buffer, big-endian. */
export function hasher(algorithm) {
  switch (algorithm) {
    case 'crc32':
      return zlib.crc32 === undefined ? new Crc32(IEEE()) : new ZlibCrc32();
    case 'crc32c':
      return new Crc32(CASTAGNOLI());
    case 'crc64nvme':
      return new Crc64(NVME());
    default:
      return createHash(algorithm);
  }
}

/** The digests of a body in memory, as the contract has them. The event loop runs meanwhile. */
export async function digests(body, algorithms, signal) {
  const hashers = algorithms.map((algorithm) => [algorithm, hasher(algorithm)]);
  if (hashers.length > 0) {
    let since = 0;
    for (const whole of body.pieces) {
      for (let at = 0; at < whole.length; at += SLICE) {
        const piece = whole.subarray(at, at + SLICE);
        for (const [, hash] of hashers) hash.update(piece);
        since += piece.length;
        if (since >= SLICE) {
          since = 0;
          await setImmediate();
          signal?.throwIfAborted();
        }
      }
    }
  }
  return hashers.map(([algorithm, hash]) => ({ algorithm, value: hash.digest() }));
}
