// Files and variables that configuration names: bounded, and never blocking.

import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { shown } from '../text.js';

export const MAX_CONFIG = 1 << 20;
export const MAX_SECRET = 64 << 10;
export const MAX_CERTIFICATES = 4 << 20;

function kind(found) {
  if (found.isDirectory()) return 'a folder';
  if (found.isFIFO()) return 'a FIFO (named pipe)';
  if (found.isSocket()) return 'a socket';
  if (found.isCharacterDevice()) return 'a character device';
  return found.isBlockDevice() ? 'a block device' : 'something else';
}

/** Why a file was not read, worded to follow its path. Contains nothing of its content. */
export class InputError extends Error {
  constructor(message, { code, ...options } = {}) {
    super(message, options);
    this.code = code;
  }
}

function check(found, limit) {
  if (!found.isFile()) {
    throw new InputError(`cannot be read: it is ${kind(found)}; expected a regular file no longer than ${limit} bytes`, { code: 'KIND' });
  }
  if (found.size > limit) throw new InputError(`is longer than ${limit} bytes, which is the limit for such a file`, { code: 'LONG' });
}

/** Reads a regular file within the limit. */
export async function readFile(path, limit) {
  try {
    // Opening some devices has side effects, so the kind is checked before as well as after.
    check(await stat(path), limit);
    // Without O_NONBLOCK, opening a FIFO that replaced the file blocks until somebody writes.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0));
    try {
      check(await file.stat(), limit);
      const buffer = Buffer.alloc(limit + 1);
      let filled = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
        filled += bytesRead;
        if (bytesRead === 0) break;
        if (filled > limit) throw new InputError(`is longer than ${limit} bytes, which is the limit for such a file`, { code: 'LONG' });
      }
      return buffer.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`cannot be read: ${error.code ?? error.message}`, { code: error.code, cause: error });
  }
}

/** The same, for UTF-8 text. */
export async function readText(path, limit) {
  const bytes = await readFile(path, limit);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new InputError('is not UTF-8 text', { code: 'TEXT' });
  }
}

/** A variable that is set and not empty. */
export function variable(environment, name) {
  const value = environment[name];
  if (value === undefined || value === '') return undefined;
  if (Buffer.byteLength(value) > MAX_SECRET) throw new Error(`the variable ${shown(name)} is longer than ${MAX_SECRET} bytes`);
  return value;
}
