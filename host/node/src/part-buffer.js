// The bytes of a part while it is filled.

/** Bytes of a chunk that several small pieces share. */
const CHUNK = 64 << 10;

/** Copies of pieces: their source may use their memory again as soon as it is asked for more, while the part is still being sent. */
export class PartBuffer {
  #chunks = [];
  /** The last chunk, and the number of its bytes that are filled. */
  #last = Buffer.alloc(0);
  #filled = 0;
  length = 0;

  /** Adds a piece, after which the part has room for that many more bytes at most. */
  push(piece, room) {
    this.length += piece.length;
    let rest = piece;
    while (rest.length > 0) {
      if (this.#filled === this.#last.length) {
        this.#flush();
        this.#last = Buffer.allocUnsafeSlow(Math.max(rest.length, Math.min(CHUNK, rest.length + room)));
      }
      const some = rest.subarray(0, this.#last.length - this.#filled);
      this.#last.set(some, this.#filled);
      this.#filled += some.length;
      rest = rest.subarray(some.length);
    }
  }

  /** The pieces so far. */
  take() {
    this.#flush();
    return this.#chunks;
  }

  #flush() {
    if (this.#filled > 0) this.#chunks.push(this.#last.subarray(0, this.#filled));
    [this.#last, this.#filled] = [Buffer.alloc(0), 0];
  }
}

/** The same of pieces that do not change until the call ends: they are not copied. */
export class PartPieces {
  #pieces = [];
  length = 0;

  push(piece) {
    this.#pieces.push(piece);
    this.length += piece.length;
  }

  take() {
    return this.#pieces;
  }
}
