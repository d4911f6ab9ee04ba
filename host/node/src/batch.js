// Batches: operations that reach a step at the same moment share one call of the plugin.

import { broken } from './error.js';

/** Operations in a batch, and bytes of a response's body above which a step runs alone. */
const MAX_BATCH = 32;
const LARGE_BODY = 64 << 10;

export class Batcher {
  #instances;
  #name;
  #queue = [];

  /** @param {'begin' | 'resume'} name of the function */
  constructor(instances, name) {
    this.#instances = instances;
    this.#name = name;
  }

  /** Runs a step of an operation: its next. */
  run(input) {
    if (input.event?.val.body?.length > LARGE_BODY) return this.#alone(input);
    return new Promise((resolve, reject) => {
      // What is queued until the microtask runs is ready at the same moment.
      if (this.#queue.push({ input, resolve, reject }) === 1) queueMicrotask(() => this.#flush());
    });
  }

  #call(inputs) {
    const next = this.#instances.call(({ sansIo, store }) => sansIo[this.#name](store, inputs));
    if (next.length === inputs.length) return next;
    this.#instances.discard();
    throw broken(`it returned ${next.length} results for ${inputs.length} operations`);
  }

  #flush() {
    const queue = this.#queue;
    this.#queue = [];
    for (let at = 0; at < queue.length; at += MAX_BATCH) {
      const batch = queue.slice(at, at + MAX_BATCH);
      try {
        const next = this.#call(batch.map(({ input }) => input));
        batch.forEach(({ resolve }, place) => resolve(next[place]));
      } catch {
        // States and events are still here: each operation repeats the step alone, and the one at fault fails.
        for (const { input, resolve, reject } of batch) this.#alone(input).then(resolve, reject);
      }
    }
  }

  async #alone(input) {
    try {
      return this.#call([input])[0];
    } catch (error) {
      throw error.name === 'SandbucketError' ? error : broken(`it crashed (${error.message}); its instance was discarded`, error);
    }
  }
}
