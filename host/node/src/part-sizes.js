// Part sizes of an upload: equal as long as possible, growing if a body of unknown length would need too many parts. The rules are
// the Rust host's (host/sandbucket/src/ops/part_sizes.rs).

export const MAX_PARTS = 10_000;
export const DEFAULT_PART_SIZE = 8 << 20;
/** S3's maximum part size. */
const MAX_PART_SIZE = 5 * 2 ** 30;
/** Number of equal parts without a length hint, of parts for a length hint, and of parts between two doublings. */
const EQUAL_PARTS = 5_000;
const HINTED_PARTS = 9_000;
const DOUBLE_EVERY = 500;
/** Memory up to which grown parts are sent concurrently. */
const GROWN_MEMORY = 2 ** 30;
const MIB = 2 ** 20;

export class PartSizes {
  #base;
  #equal = EQUAL_PARTS;

  constructor(partSize, lengthHint) {
    this.#base = partSize;
    if (lengthHint === undefined) return;
    const least = Math.ceil(lengthHint / HINTED_PARTS);
    if (least > partSize) this.#base = Math.min(Math.ceil(least / MIB) * MIB, Math.max(MAX_PART_SIZE, partSize));
    this.#equal = Math.min(Math.max(Math.ceil(lengthHint / this.#base), EQUAL_PARTS), MAX_PARTS);
  }

  /** The size of this part, unless it is the last; the first is number 1. */
  size(number) {
    const doublings = Math.ceil(Math.max(number - this.#equal, 0) / DOUBLE_EVERY);
    return Math.min(this.#base * 2 ** doublings, Math.max(MAX_PART_SIZE, this.#base));
  }

  /** The number of parts of this part's size to send concurrently, of `wanted` ones: fewer once parts have grown. */
  concurrency(number, wanted) {
    const allowed = Math.floor(Math.max(this.#base * (wanted + 1), GROWN_MEMORY) / this.size(number));
    return Math.min(Math.max(allowed - 1, 1), wanted);
  }
}
