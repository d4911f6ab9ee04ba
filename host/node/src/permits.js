// Concurrency permits of a store.

import { SandbucketError } from './error.js';
import { startTimer } from './timer.js';

export class Permits {
  #free;
  #most;
  #waiting = [];

  constructor(most) {
    this.#free = most;
    this.#most = most;
  }

  /** Waits for a permit, in order, for so many milliseconds. The result gives it back. */
  async acquire(operation, limit, signal) {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
    } else {
      await this.#wait(operation, limit, signal);
    }
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const next = this.#waiting.shift();
      if (next) next.resolve();
      else this.#free += 1;
    };
  }

  #wait(operation, limit, signal) {
    return new Promise((resolve, reject) => {
      const end = (how, value) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        const place = this.#waiting.indexOf(waiting);
        if (place >= 0) this.#waiting.splice(place, 1);
        how(value);
      };
      const aborted = () => end(reject, signal.reason);
      const waiting = { resolve: () => end(resolve) };
      const timer = startTimer(limit, () => {
        const message = `${operation}: waited ${limit} ms for other calls of the same store, which make all of the ${this.#most} at ` +
          'once that the limit `concurrency` allows; make fewer at once, or raise that limit';
        end(reject, new SandbucketError('busy', message, { retryable: true }));
      });
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiting.push(waiting);
    });
  }
}
