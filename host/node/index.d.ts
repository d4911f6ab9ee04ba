/// <reference types="node" />
import type { Readable } from 'node:stream';

/**
 * Why a call failed: the kinds of the contract, and of this package: `archived` (the blob has to be restored first), `plugin` (the
 * plugin crashed or broke the contract), `busy` (too many calls at once), and `io` (the source of a body failed).
 */
export type ErrorKind =
  | 'not-found' | 'precondition-failed' | 'not-modified' | 'invalid-range' | 'conflict' | 'access-denied' | 'throttled' | 'timeout'
  | 'network' | 'integrity' | 'invalid-settings' | 'invalid-argument' | 'too-large' | 'unsupported' | 'outcome-unknown' | 'service'
  | 'archived' | 'plugin' | 'busy' | 'io';

/** The error of every call, except that an aborted call throws its signal's reason. No field has a secret. */
export declare class SandbucketError extends Error {
  name: 'SandbucketError';
  /** For programs. */
  kind: ErrorKind;
  /** What was tried, on which bucket, key and endpoint, what happened, and what to do. One line. */
  message: string;
  /** Whether the same call may succeed later. The retries are over. */
  retryable: boolean;
  /** Number of requests sent. */
  attempts: number;
  /** The setting, option or argument at fault. */
  subject?: string;
  /** HTTP status of the response, if there was one. */
  status?: number;
  /** The service's error code, such as `NoSuchKey`. */
  code?: string;
  /** The service's message. */
  serviceMessage?: string;
  /** Request id, for the service's support. */
  requestId?: string;
  /** The bucket's region, if it is another than the setting's. */
  region?: string;
}

/** The settings of a store by name, in kebab-case or camelCase. `settings()` documents all. */
export type Settings = Record<string, string | number | boolean | null | undefined> & { bucket: string };

/** Limits of a store. Times of more than 24.8 days count as that. */
export interface Limits {
  /** Calls at once; further ones wait. Default: 64. */
  concurrency?: number;
  /** Milliseconds of a call, without those in which a streamed body is sent or a blob is read. Default: 600,000. */
  callTime?: number;
  /** Milliseconds without progress within an attempt; the setting `timeout` is usually shorter. Default: 600,000. */
  timeout?: number;
  /** Consecutive resumptions of a read without progress. Default: 3. */
  resumes?: number;
  /** Bytes that `put` sends at once, and of a part. Default: 5 GiB. */
  maxPut?: number;
}

export interface OpenOptions {
  /** Allows private and loopback addresses. Not for settings that somebody else may write. Default: false. */
  allowPrivate?: boolean;
  /** The same, only if the endpoint is itself a private address or a name such as `localhost`. Default: false, of a file: true. */
  allowPrivateEndpoint?: boolean;
  /** Networks that are not public and yet allowed, such as `10.20.0.0/24`. */
  allowNetworks?: string[];
  /** Certificate authorities to trust instead of Node's, as PEM. */
  ca?: string | Uint8Array;
  /** Accepts any certificate. Default: false. */
  allowInvalidCerts?: boolean;
  limits?: Limits;
}

export interface ConfigOptions extends OpenOptions {
  /** Settings that override those of the configuration. */
  settings?: Partial<Settings>;
  /** Variables in place of `process.env`. */
  environment?: Record<string, string | undefined>;
}

/** Opens a store. Sends no request: wrong credentials show in the first call. */
export declare function open(settings: Settings, options?: OpenOptions): Promise<Store>;
/**
 * Opens the store of the section `[store.blob.s3]` of a TOML file. The file is the operator's, and may read variables and files:
 * never open one that a tenant wrote.
 */
export declare function openConfig(path: string | URL, options?: ConfigOptions): Promise<Store>;
/** The same, of a text. */
export declare function parseConfig(text: string, options?: ConfigOptions): Promise<Store>;
/** Opens a bucket with the credentials, region and endpoint of AWS's variables and shared files. */
export declare function openEnvironment(bucket: string, options?: ConfigOptions): Promise<Store>;

/** Documentation of a setting. */
export interface Setting {
  name: string;
  aliases: string[];
  kind: 'text' | 'integer' | 'boolean' | 'duration' | 'choice' | 'url';
  default?: string;
  required: boolean;
  secret: boolean;
  help: string;
}
/** The settings of the plugin. */
export declare function settings(): Promise<Setting[]>;
/** The attributes that calls accept. */
export declare function attributes(): Promise<{ name: string; secret: boolean; help: string }[]>;

/** Options of every call. */
export interface CallOptions {
  /** Ends the call; it throws the signal's reason. Whether a write took effect is then unknown. */
  signal?: AbortSignal;
  /** Milliseconds of the whole call; of a read, of its body too. More than 24.8 days count as that, as does `Infinity`. */
  timeLimit?: number;
  /** At most the setting `max-retries`. */
  maxRetries?: number;
  /** Named properties that only some services know, such as `storage-class`. `attributes()` documents all. */
  attributes?: Record<string, string>;
}

/** A half-open range of bytes, or the last ones. */
export type ByteRange = { start?: number; end?: number } | { last: number };

export interface Conditions {
  ifMatch?: string;
  ifNoneMatch?: string;
  ifModifiedSince?: Date;
  ifUnmodifiedSince?: Date;
}

export interface HeadOptions extends CallOptions, Conditions {
  version?: string;
}

export interface GetOptions extends HeadOptions {
  range?: ByteRange;
}

export interface DownloadOptions extends GetOptions {
  /** Bytes of a part. Default: 8 MiB. */
  partSize?: number;
  /** Parts at once; the memory is `partSize` times this. Default: 4. */
  concurrency?: number;
}

export interface WriteOptions extends CallOptions {
  contentType?: string;
  /** User metadata. */
  metadata?: Record<string, string> | Map<string, string> | [string, string][];
  /** Writes only if the key does not exist. */
  ifAbsent?: boolean;
  /** Writes only if the blob has this entity tag. */
  ifMatch?: string;
  /** An id by which a lost response to a conditional write is reconciled. */
  writeId?: string;
}

export interface PutOptions extends WriteOptions {
  /** The length of a stream in bytes, which it must have. */
  length?: number;
}

export interface UploadOptions extends WriteOptions {
  /** Bytes of a part: at least 5 MiB on S3. Default: 8 MiB. */
  partSize?: number;
  /** Parts at once; the memory is `partSize` times this and one more. Default: 4. */
  concurrency?: number;
  /** The approximate length of the body, for parts of equal size. */
  lengthHint?: number;
}

/**
 * Bytes, text, or a source of them. Bytes in memory must not change until the call ends. A source may use the memory of a piece again
 * as soon as it is asked for the next one, or for the end: the piece has been sent or copied by then.
 */
export type BodySource =
  | string | Uint8Array | ArrayBuffer | ArrayBufferView | Blob | Readable | ReadableStream
  | AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

/** Properties of a blob. */
export interface BlobInfo {
  /** Bytes of the whole blob; undefined if the service does not report it. */
  size?: number;
  etag?: string;
  lastModified?: Date;
  contentType?: string;
  metadata: Record<string, string>;
  version?: string;
  attributes: Record<string, string>;
}

/** Result of a write. */
export interface Written {
  etag?: string;
  version?: string;
}

/** A blob, or a range of it, being read. The body can be read once, in one of these ways. */
export interface BlobBody extends AsyncIterable<Uint8Array> {
  /** Properties of the whole blob. */
  readonly info: BlobInfo;
  /** The range that is read; without an end if the service does not report the size. */
  readonly range: { start: number; end?: number };
  /** As a web stream. */
  stream(): ReadableStream<Uint8Array>;
  /** As a stream of Node. */
  readable(): Readable;
  bytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  json(): Promise<unknown>;
  /** Gives the rest up, and closes its connection. */
  cancel(): void;
}

export interface Entry {
  key: string;
  size: number;
  etag?: string;
  lastModified?: Date;
  attributes: Record<string, string>;
}

export interface VersionEntry extends Entry {
  version?: string;
  /** Whether it is the current version. */
  latest: boolean;
  /** Whether it is a delete marker. */
  deleted: boolean;
}

export interface Page<T> {
  entries: T[];
  /** Common prefixes, if there is a delimiter. */
  prefixes?: string[];
  /** `continuation` of the next page. */
  next?: string;
}

/** All entries of a listing, page by page as they are needed. */
export interface Listing<T> extends AsyncIterable<T> {
  pages(): AsyncGenerator<Page<T>, void, void>;
  toArray(): Promise<T[]>;
}

export interface PageOptions extends CallOptions {
  prefix?: string;
  /** 1 to 1,000. */
  pageSize?: number;
  /** `next` of a page. */
  continuation?: string;
}

export interface ListOptions extends PageOptions {
  delimiter?: string;
  startAfter?: string;
}

export type BlobName = string | { key: string; version?: string };

export interface CopyOptions extends CallOptions {
  /** Replaces all properties of the source, as `metadata` does. */
  contentType?: string;
  metadata?: Record<string, string>;
  ifAbsent?: boolean;
  ifMatch?: string;
  /** Conditions on the source. */
  source?: Conditions;
}

export interface PresignOptions extends CallOptions {
  /** Seconds. Default: 900. */
  expiresIn?: number;
  /** Headers that the request must be sent with. */
  headers?: Record<string, string>;
  version?: string;
}

export interface VersionOptions extends CallOptions {
  version?: string;
}

/** A bucket with settings, connections and an egress policy. */
export declare class Store {
  private constructor();
  static open(settings: Settings, options?: OpenOptions): Promise<Store>;

  /** The properties of a blob. */
  head(key: string, options?: HeadOptions): Promise<BlobInfo>;
  /** Opens a blob, or a range of it, for reading. An interrupted read resumes. */
  get(key: string, options?: GetOptions): Promise<BlobBody>;
  /** Reads a large blob over several connections. */
  download(key: string, options?: DownloadOptions): Promise<BlobBody>;
  /** Writes a blob. A stream needs `length`. */
  put(key: string, body: BodySource, options?: PutOptions): Promise<Written>;
  /** Writes a blob of any length, in parts if it is long; aborted at the service if it fails. */
  upload(key: string, body: BodySource, options?: UploadOptions): Promise<Written>;
  /** Deletes a blob. The result is whether it existed, if the service reports it. */
  delete(key: string, options?: VersionOptions): Promise<boolean | undefined>;
  /** Deletes any number of blobs: for each, `error` unless it was deleted. */
  deleteMany(blobs: Iterable<BlobName>, options?: CallOptions): Promise<{ key: string; version?: string; error?: SandbucketError }[]>;
  list(options?: ListOptions): Listing<Entry>;
  listVersions(options?: ListOptions): Listing<VersionEntry>;
  /** Uploads that were neither completed nor aborted. */
  listUploads(options?: PageOptions): Listing<{ key: string; id: string; initiated?: Date }>;
  abortUpload(key: string, id: string, options?: CallOptions): Promise<void>;
  /** Copies a blob within the service: up to 5 GiB on S3. */
  copy(from: BlobName | { key: string; bucket?: string; version?: string }, to: string, options?: CopyOptions): Promise<Written>;
  /** A URL that anybody can use until it expires: a secret. */
  presign(
    method: 'get' | 'head' | 'put' | 'delete', key: string, options?: PresignOptions,
  ): Promise<{ url: string; headers: Record<string, string> }>;
  tags(key: string, options?: VersionOptions): Promise<Record<string, string>>;
  setTags(key: string, tags: Record<string, string>, options?: VersionOptions): Promise<void>;
  createBucket(name: string, options?: CallOptions): Promise<void>;
  deleteBucket(name: string, options?: CallOptions): Promise<void>;
  bucketExists(name: string, options?: CallOptions): Promise<boolean>;
  listBuckets(options?: PageOptions): Listing<{ name: string; created?: Date; region?: string }>;
  /** Closes all connections. Calls in flight fail, and so do further ones. */
  close(): void;
}
