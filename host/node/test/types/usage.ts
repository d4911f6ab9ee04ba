// Compiled, not run: the declarations fit how the package is used.
import { SandbucketError, open, openConfig, openEnvironment, settings, type BlobBody, type ErrorKind } from 'sandbucket';
import { Readable } from 'node:stream';

const store = await open({ bucket: 'b', accessKey: 'a', 'secret-key': 's' }, { allowPrivate: true, limits: { concurrency: 2 } });
const blob: BlobBody = await store.get('k', { range: { last: 5 }, ifNoneMatch: '"e"', signal: AbortSignal.timeout(1) });
const size: number | undefined = blob.info.size;
for await (const piece of blob) piece.byteLength;
await store.put('k', Readable.from(['a']), { length: 1, metadata: { a: 'b' } });
await store.upload('k', new ReadableStream(), { partSize: 5 << 20, ifAbsent: true });
for await (const { key } of store.list({ prefix: 'p', delimiter: '/' })) key.toUpperCase();
for await (const { prefixes, next } of store.list().pages()) [prefixes, next];
const outcomes = await store.deleteMany(['a', { key: 'b', version: 'v' }]);
const kind: ErrorKind | undefined = outcomes[0]?.error?.kind;
// @ts-expect-error: there is no such method
await store.presign('patch', 'k');
// @ts-expect-error: a misspelt condition
await store.put('k', 'x', { ifAbsnt: true });
try {
  await (await openConfig(new URL('file:///x'))).head('k');
  await (await openEnvironment('b', { settings: { region: 'r' } })).tags('k');
} catch (error) {
  if (error instanceof SandbucketError) [error.kind, error.status, error.code, error.requestId, error.retryable];
}
export { kind, size, settings };
