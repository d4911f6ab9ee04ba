// Parts of the driver by themselves.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Batcher } from '../src/batch.js';
import { Bytes, exactly } from '../src/body.js';
import { Listing } from '../src/calls.js';
import { digests, hasher } from '../src/checksum.js';
import { Driver } from '../src/driver.js';
import { ofPlugin } from '../src/error.js';
import { LIMITS } from '../src/store.js';
import { Instances } from '../src/instances.js';
import { limitMemory } from '../src/memory-limit.js';
import { DEFAULT_PART_SIZE, MAX_PARTS, PartSizes } from '../src/part-sizes.js';
import { Permits } from '../src/permits.js';
import { RetryQuota } from '../src/retry-quota.js';
import { checkRequest } from '../src/rules.js';
import { sanitize } from '../src/text.js';
import { validateOutput } from '../src/validate.js';

const MIB = 2 ** 20;
const PLUGIN = { kind: 'plugin' };

test('checksums have the values of their specifications', async () => {
  const of = (algorithm, ...pieces) => {
    const hash = hasher(algorithm);
    pieces.forEach((piece) => hash.update(Buffer.from(piece)));
    return hash.digest().toString('hex');
  };
  const expected = { crc32: 'cbf43926', crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888', md5: '25f9e794323b453885f5181f1b624d0b' };
  for (const [algorithm, value] of Object.entries(expected)) {
    assert.equal(of(algorithm, '123456789'), value, algorithm);
    // Whatever the pieces are, those of less than eight bytes included.
    assert.equal(of(algorithm, '1', '2345678', '', '9'), value, algorithm);
  }
  const zeros = Buffer.alloc(32);
  assert.equal(of('crc32c', zeros), '8a9136aa');
  const long = Buffer.alloc(3 * MIB + 5, 7);
  const [sha] = await digests(new Bytes([long.subarray(0, 10), long.subarray(10)]), ['sha256']);
  assert.deepEqual(sha.value, createHash('sha256').update(long).digest());
});

test('text of others is escaped and cut', () => {
  assert.equal(sanitize('a\n\u001b[31m\u202e', 99), 'a\\n\\u{1b}[31m\\u{202e}');
  assert.equal(sanitize('abcdef', 3), 'abc…');
  assert.ok(sanitize('\n'.repeat(1 << 20), 64).length < 80);
  const error = ofPlugin({
    kind: 'service', message: `\u001b${'x'.repeat(1 << 20)}`, retryable: false, attempts: 1, subject: '\n',
    response: { status: 500, code: '\u202e', message: '\r', requestId: 'x'.repeat(1 << 20) },
  });
  assert.ok(error.message.length < 5000 && error.requestId.length < 300);
  assert.ok(!/[\u001b\n\r\u202e]/.test(error.message + error.subject + error.code + error.serviceMessage));
});

const request = (more = {}) => ({
  method: 'put', authority: 'h:1', pathWithQuery: '/b/k?x=%20', headers: 'host:h:1\ncontent-length:3\nx-amz-date:now\n', ...more,
});
const refused = (more, length = 3, methods = ['put', 'get']) => checkRequest(request(more), methods, length).refused;

test('requests that are not those of the contract are refused', () => {
  assert.deepEqual(checkRequest(request(), ['put'], 3).headers, ['host', 'h:1', 'content-length', '3', 'x-amz-date', 'now']);
  const headers = (more) => ({ headers: `host:h:1\ncontent-length:3\n${more}` });
  for (const name of [
    'connection', 'content-length', 'expect', 'forwarded', 'host', 'http2-settings', 'keep-alive', 'max-forwards', 'proxy-authorization',
    'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'x-forwarded-for', 'x-http-method-override', 'cookie',
    'accept-encoding', 'range', 'X-Amz-Date', 'x-amz date', '', ' x-amz-a', 'x-other',
  ]) {
    assert.ok(refused(headers(`${name}:1\n`)), name);
  }
  for (const line of ['x-amz-a', 'x-amz-a:b\rc', 'x-amz-a:b\0c', 'x-amz-a:\u001b']) assert.ok(refused(headers(`${line}\n`)), line);
  assert.match(refused({ headers: 'host:other\ncontent-length:3\n' }), /host/);
  assert.match(refused({ headers: 'content-length:3\n' }), /host/);
  assert.match(refused({ headers: 'host:h:1\ncontent-length:4\n' }), /content-length/);
  assert.match(refused({ headers: 'host:h:1\n' }), /content-length/);
  assert.match(refused({ method: 'get' }), /body of 3 bytes/);
  assert.match(refused({ method: 'delete' }), /only PUT, GET/);
  for (const path of ['', 'b', '/a b', '/a#b', '/a\r\nb', '/ä', '*']) assert.match(refused({ pathWithQuery: path }), /path/, path);
  assert.match(refused({ pathWithQuery: `/${'x'.repeat(40_000)}` }), /40001 bytes/);
  assert.match(refused(headers(`x-amz-a:${'x'.repeat(70_000)}\n`)), /header of/);
  assert.match(refused(headers('x-amz-a:1\n'.repeat(1100))), /1024/);
  assert.deepEqual(checkRequest(request({ headers: 'host:h:1\n' }), ['put'], 0).headers.slice(-2), ['content-length', '0']);
});

const info = (more = {}) => ({ size: 5n, metadata: [], attributes: [], ...more });
const headOf = (more, operation = {}) => validateOutput({
  tag: 'get', val: { info: info(), range: { start: 0n, end: 5n }, bodyRange: { start: 0n, end: 5n }, ...more },
}, { tag: 'get', val: operation });

test('outputs that the contract does not allow are refused', () => {
  const head = (more) => validateOutput({ tag: 'head', val: info(more) }, { tag: 'head', val: {} });
  assert.equal(head({ lastModified: { seconds: 1n << 60n, nanoseconds: 0 } }).lastModified, undefined);
  assert.equal(head({ lastModified: { seconds: 1n, nanoseconds: 4e9 } }).lastModified.getTime(), 1999);
  for (const more of [
    { etag: 'x'.repeat(2049) }, { etag: 'a\nb' }, { contentType: 'a\r\nb' }, { version: '\0' }, { size: 1n << 60n },
    { metadata: Array(2049).fill(['a', 'b']) }, { attributes: [['a', 'b\n']] }, { metadata: [['a', 'x'.repeat(70_000)]] },
  ]) {
    assert.throws(() => head(more), PLUGIN, JSON.stringify(Object.keys(more)));
  }
  assert.equal(head({ metadata: [['__proto__', 'x']] }).metadata['__proto__'], 'x');
  assert.deepEqual(headOf({}).range, { start: 0, end: 5 });
  const within = { options: { range: { tag: 'within', val: { start: 1n, end: 9n } } } };
  assert.deepEqual(headOf({ range: { start: 1n, end: 5n } }, within).bodyRange, { start: 0, end: 5 });
  for (const [more, operation] of [
    [{ range: { start: 1n, end: 5n } }],
    [{ range: { start: 0n, end: 4n } }],
    [{ bodyRange: { start: 1n, end: 5n } }],
    [{ bodyRange: { start: 0n, end: 6n } }],
    [{ range: { start: 2n, end: 5n } }, within],
  ]) {
    assert.throws(() => headOf(more, operation), { kind: 'integrity' }, JSON.stringify(more, (_, value) => String(value)));
  }
  assert.throws(() => headOf({ digest: { algorithm: 'md5', value: new Uint8Array(4) } }), PLUGIN);
  const outcomes = { tag: 'delete-many', val: [{ tag: 'ok' }] };
  assert.throws(() => validateOutput(outcomes, { tag: 'delete-many', val: { blobs: [1, 2] } }), { kind: 'integrity' });
  const part = { number: 1, size: 5n, etag: '"e"', attributes: [] };
  const uploaded = { tag: 'upload-part', val: { number: 1, length: 6n } };
  assert.throws(() => validateOutput({ tag: 'upload-part', val: part }, uploaded), PLUGIN);
  const long = { entries: [], prefixes: [], next: 'x'.repeat(20_000) };
  assert.throws(() => validateOutput({ tag: 'list', val: long }, { tag: 'list' }), PLUGIN);
});

test('a plugin that sends too much, or another output, fails its operation alone', async () => {
  const driver = (step, sender = {}) => {
    let discarded = 0;
    const sansIo = { begin: (_, operations) => operations.map((one) => step(one)), resume: (_, resumptions) => resumptions.map((one) => step(one)) };
    const instances = { call: (use) => use({ sansIo, store: {} }), discard: () => (discarded += 1) };
    const made = new Driver({ instances, sender, limits: { ...LIMITS, concurrency: 2 } });
    return { run: (context) => made.run({ tag: 'head', val: { key: 'k' } }, context), discarded: () => discarded };
  };
  const exchange = (more = {}) => ({
    tag: 'send',
    val: {
      state: new Uint8Array(), delay: 0n, timeout: 10n ** 9n, body: { tag: 'none' }, responseBody: { tag: 'buffer', val: 0 },
      request: { headers: '', pathWithQuery: '/' }, ...more,
    },
  });
  const another = driver(() => ({ tag: 'done', val: { tag: 'put', val: {} } }));
  await assert.rejects(another.run(), /output of another operation/);
  assert.equal(another.discarded(), 1);
  let sent = 0;
  const sender = { send: async () => ({ event: { tag: 'failed', val: { error: 'dns-error' } }, sending: (sent += 1) * 0 }) };
  const limit = driver(() => exchange(), sender);
  await assert.rejects(limit.run({ timeLimit: 300 }), { kind: 'timeout' });
  assert.ok(sent > 4 && sent < 40, `${sent} requests: the driver forces pauses`);
  await assert.rejects(driver(() => exchange({ body: { tag: 'caller' } })).run(), /sends a body, and the operation has none/);
  await assert.rejects(driver(() => exchange({ responseBody: { tag: 'caller' } })).run(), /leaves a body unread/);
  const error = { kind: 'throttled', message: 'slow', retryable: true, attempts: 1 };
  // A delay beyond the time that is left is not waited for.
  await assert.rejects(driver(() => exchange({ delay: 2n ** 64n - 1n, retries: error })).run({ timeLimit: 1000 }), { kind: 'throttled' });
});

test('a trap loses the step of its operation only', async () => {
  const instances = await Instances.open([['bucket', 'photos'], ['endpoint', 'http://localhost:1'], ['access-key', 'a'], ['secret-key', 's']]);
  const begin = new Batcher(instances, 'begin');
  const presign = (key) => ({ tag: 'presign', val: { method: 'get', key, expiresIn: 60n * 10n ** 9n } });
  // An operation that the bindings cannot lower fails as a trap does.
  const broken = { tag: 'presign', val: null };
  const results = await Promise.allSettled([begin.run(presign('a')), begin.run(broken), begin.run(presign('b'))]);
  assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled']);
  assert.match(results[2].value.val.val.url, /\/photos\/b\?/);
  assert.equal(results[1].reason.kind, 'plugin');
  assert.ok(instances.discarded >= 2);
  await begin.run(presign('c'));
});

test('the memory of a module is bounded', async () => {
  // (module (memory (export "m") 1) (func (export "grow") (param i32) (result i32) local.get 0 memory.grow))
  const plain = Buffer.from('0061736d0100000001060160017f017f030201000503010001070c02016d02000467726f7700000a0801060020004000' + '0b', 'hex');
  const open = new WebAssembly.Instance(new WebAssembly.Module(plain)).exports;
  assert.equal(open.grow(1000), 1);
  const { m, grow } = new WebAssembly.Instance(new WebAssembly.Module(limitMemory(plain, 4 << 20))).exports;
  assert.deepEqual([grow(64), grow(63), m.buffer.byteLength], [-1, 1, 4 << 20]);
  const wide = limitMemory(limitMemory(plain, 64 << 20), 1 << 20);
  assert.equal(new WebAssembly.Instance(new WebAssembly.Module(wide)).exports.grow(16), -1);
  assert.throws(() => limitMemory(plain, 1000), /needs 65536 bytes/);
});

test('operations that are ready at the same moment share a call', async () => {
  const calls = [];
  const sansIo = { begin: (_, operations) => (calls.push(operations.length), operations) };
  const batcher = new Batcher({ call: (use) => use({ sansIo }), discard() {} }, 'begin');
  const results = await Promise.all(Array.from({ length: 70 }, (_, n) => batcher.run({ n })));
  assert.deepEqual([calls, results[69]], [[32, 32, 6], { n: 69 }]);
  const short = new Batcher({ call: (use) => use({ sansIo: { begin: (_, given) => given.slice(1) } }), discard() {} }, 'begin');
  await assert.rejects(short.run({}), /0 results for 1 operations/);
});

test('the retry quota bounds the retries of a failing store', () => {
  const quota = new RetryQuota(64);
  let retries = 0;
  while (quota.take('service')) retries += 1;
  assert.equal(retries, 512);
  quota.succeeded(5);
  assert.equal(quota.take('timeout'), 0);
  assert.equal(quota.take('service'), 5);
  for (let n = 0; n < 10_000; n += 1) quota.succeeded(0);
  for (retries = 0; quota.take('timeout'); ) retries += 1;
  assert.equal(retries, 256);
});

test('timers are set where their length is bounded', () => {
  const folder = fileURLToPath(new URL('../src/', import.meta.url));
  const setsTimer = /\bset(Timeout|Interval)\b/;
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.js'));
  assert.deepEqual(files.filter((name) => setsTimer.test(readFileSync(`${folder}${name}`, 'utf8'))), ['timer.js']);
});

test('permits are given in order, and waiting for one is bounded', async () => {
  const permits = new Permits(1);
  const release = await permits.acquire('get', 1000);
  await assert.rejects(permits.acquire('get', 10), { kind: 'busy', retryable: true });
  const stop = new AbortController();
  const stopped = permits.acquire('get', 10_000, stop.signal);
  const order = [];
  const first = permits.acquire('get', 10_000).then((done) => (order.push(1), done));
  const second = permits.acquire('get', 10_000).then((done) => (order.push(2), done));
  stop.abort(new Error('no more'));
  await assert.rejects(stopped, /no more/);
  release();
  release();
  (await first)();
  (await second)();
  assert.deepEqual(order, [1, 2]);
});

test('parts are equal first and then grow to the largest object', () => {
  const sizes = new PartSizes(DEFAULT_PART_SIZE);
  assert.deepEqual([1, 5000, 5001, 5500, 5501, MAX_PARTS].map((number) => sizes.size(number) / MIB), [8, 8, 16, 16, 32, 5120]);
  let total = 0;
  for (let number = 1; number <= MAX_PARTS; number += 1) {
    total += sizes.size(number);
    const memory = sizes.size(number) * (sizes.concurrency(number, 4) + 1);
    assert.ok(memory <= 2 ** 30 || sizes.concurrency(number, 4) === 1, `part ${number}`);
  }
  assert.ok(total > 5 * 2 ** 40);
  for (const hint of [0, 1, 8 * MIB, 40 * 2 ** 30, 100 * 2 ** 30, 5 * 2 ** 40]) {
    const hinted = new PartSizes(DEFAULT_PART_SIZE, hint);
    assert.ok(Math.ceil(hint / hinted.size(1)) <= MAX_PARTS && hinted.size(Math.max(Math.ceil(hint / hinted.size(1)), 1)) === hinted.size(1), hint);
  }
});

test('a source has exactly the length announced', async () => {
  const read = async (length, ...pieces) => {
    const source = async function* () {
      yield* pieces.map((piece) => Buffer.from(piece));
    };
    let text = '';
    for await (const piece of exactly(source(), length, 'put "k"')) text += piece;
    return text;
  };
  assert.equal(await read(3, 'a', 'bc'), 'abc');
  await assert.rejects(read(4, 'a', 'bc'), /3 bytes, and 4 were announced/);
  await assert.rejects(read(2, 'a', 'bc'), /more than 2 bytes/);
});

test('pages that go in a circle are an error', async () => {
  const next = { undefined: 'a', a: 'b', b: 'a' };
  const listing = new Listing(async (continuation) => ({ entries: [continuation], next: next[continuation] }));
  await assert.rejects(listing.toArray(), { kind: 'integrity' });
});
