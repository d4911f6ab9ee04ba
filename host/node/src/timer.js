// Timers of any length. Node's own fire after a millisecond if they are given more than 2^31 - 1 of them.

import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds of Node's longest timer, 24.8 days. A longer wait, or an endless one, counts as this. */
const MAX_TIMER = 2 ** 31 - 1;

/** `setTimeout` with the arguments exchanged. */
export const startTimer = (delay, callback) => setTimeout(callback, Math.min(delay, MAX_TIMER));

/** Waits for so many milliseconds, or until the signal is aborted, which is an error. */
export const sleep = (delay, signal) => pause(Math.min(delay, MAX_TIMER), undefined, { signal });

/** Milliseconds of a duration of the contract, whatever its value. */
export const milliseconds = (nanoseconds) => Math.min(Number(nanoseconds) / 1e6, MAX_TIMER);
