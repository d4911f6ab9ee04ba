// The error of every call.

import { sanitize } from './text.js';

const MAX_MESSAGE = 4 << 10;
const MAX_WORD = 256;

/** Why a call failed. `kind` is for programs, `message` for people. No field has a secret. */
export class SandbucketError extends Error {
  constructor(kind, message, { cause, ...details } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'SandbucketError';
    this.kind = kind;
    this.retryable = details.retryable ?? false;
    this.attempts = details.attempts ?? 0;
    this.subject = details.subject;
    this.status = details.status;
    this.code = details.code;
    this.serviceMessage = details.serviceMessage;
    this.requestId = details.requestId;
    this.region = details.region;
  }
}

const word = (text) => (text === undefined ? undefined : sanitize(text, MAX_WORD));

/** Codes of S3 and Azure for blobs that have to be restored first: no status is their own. */
const ARCHIVED = ['InvalidObjectState', 'BlobArchived', 'BlobBeingRehydrated'];

/** The error of a plugin's record. Its texts are escaped and cut, never refused: they may say what is wrong. */
export function ofPlugin({ kind, message, retryable, attempts, subject, response }, cause) {
  const archived = kind === 'service' && ARCHIVED.includes(response?.code);
  return new SandbucketError(archived ? 'archived' : kind, sanitize(message, MAX_MESSAGE), {
    retryable,
    attempts,
    subject: word(subject),
    status: response?.status,
    code: word(response?.code),
    serviceMessage: response?.message === undefined ? undefined : sanitize(response.message, MAX_MESSAGE),
    requestId: word(response?.requestId),
    region: word(response?.region),
    cause,
  });
}

/** The plugin crashed, or returned what the contract does not allow. */
export const broken = (message, cause) => new SandbucketError('plugin', `plugin: ${sanitize(message, MAX_MESSAGE)}`, { cause });

/** An argument that is refused before a request is sent. */
export const invalidArgument = (subject, message) => new SandbucketError('invalid-argument', message, { subject });

/** A setting that is refused. */
export const invalidSettings = (subject, message) => new SandbucketError('invalid-settings', message, { subject });
