// The client on the dev server and on moto.

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { open } from '../index.js';
import { devServer, moto } from './services.js';

const MIB = 1 << 20;
const fail = (kind) => (error) => error.name === 'SandbucketError' && error.kind === kind;

for (const [name, start] of [['the dev server', devServer], ['moto', moto]]) {
  describe(`a store on ${name}`, () => {
    let service;
    let store;
    before(async () => {
      service = await start();
      if (service) store = await open(service.settings, { allowPrivate: true });
      else console.log(`left out on ${name}: there is no Python 3 with venv`);
    });
    after(() => {
      store?.close();
      service?.stop();
    });
    const on = (what, run) =>
      test(what, async (context) => {
        if (!service) return context.skip('no Python 3 with venv');
        return run();
      });

    on('properties come back as they were written', async () => {
      const metadata = { author: 'Zoë', empty: '' };
      const written = await store.put('properties', 'text', { contentType: 'text/plain', metadata, attributes: { 'cache-control': 'no-store' } });
      const info = await store.head('properties');
      assert.equal(info.etag, written.etag);
      assert.deepEqual([info.size, info.contentType, info.metadata.author], [4, 'text/plain', 'Zoë']);
      assert.equal(info.attributes['cache-control'], 'no-store');
      assert.ok(Math.abs(info.lastModified - Date.now()) < 3_600_000);
    });

    on('every kind of body is written, and read in every way', async () => {
      const bytes = Buffer.from('héllo');
      const bodies = {
        text: 'héllo',
        buffer: bytes,
        array: new Uint8Array(bytes),
        arrayBuffer: new Uint8Array(bytes).buffer,
        blob: new Blob([bytes]),
        list: [bytes.subarray(0, 2), bytes.subarray(2)],
      };
      for (const [kind, body] of Object.entries(bodies)) {
        await store.put(kind, body, kind === 'list' ? { length: bytes.length } : {});
        assert.equal(await (await store.get(kind)).text(), 'héllo', kind);
      }
      const streams = {
        node: () => Readable.from([bytes.subarray(0, 1), bytes.subarray(1)]),
        web: () => new Blob([bytes]).stream(),
        iterable: async function* () {
          yield 'hé';
          yield bytes.subarray(3);
        },
      };
      for (const [kind, make] of Object.entries(streams)) {
        const body = kind === 'iterable' ? make() : make();
        await store.put(kind, body, { length: bytes.length });
        await store.upload(`${kind}-up`, make());
        for (const key of [kind, `${kind}-up`]) assert.equal(await (await store.get(key)).text(), 'héllo', key);
      }
      assert.deepEqual(Buffer.concat(await (await store.get('text')).readable().toArray()), bytes);
      assert.equal(await new Response((await store.get('text')).stream()).text(), 'héllo');
      await store.put('json', JSON.stringify({ a: [1] }));
      assert.deepEqual(await (await store.get('json')).json(), { a: [1] });
      const twice = await store.get('text');
      await twice.bytes();
      await assert.rejects(twice.bytes(), /once/);
      await assert.rejects(store.put('k', 5), fail('invalid-argument'));
      await assert.rejects(store.put('k', Readable.from(['a'])), /`upload` takes a stream of any length/);
    });

    on('ranges are read', async () => {
      await store.put('range', '0123456789');
      const read = async (range) => (await store.get('range', { range })).text();
      assert.deepEqual(
        await Promise.all([{ start: 2, end: 5 }, { start: 7 }, { last: 2 }, { end: 3 }, { start: 3, end: 3 }, { start: 8, end: 99 }].map(read)),
        ['234', '789', '89', '012', '', '89'],
      );
      await assert.rejects(read({ start: 10, end: 12 }), fail('invalid-range'));
      await assert.rejects(read({ start: 5, end: 2 }), fail('invalid-argument'));
      await assert.rejects(read({ start: -1 }), fail('invalid-argument'));
    });

    on('conditions hold', async () => {
      const { etag } = await store.put('condition', 'one');
      await assert.rejects(store.put('condition', 'two', { ifAbsent: true }), fail('precondition-failed'));
      await assert.rejects(store.get('condition', { ifNoneMatch: etag }), fail('not-modified'));
      assert.equal(await (await store.get('condition', { ifMatch: etag, ifUnmodifiedSince: new Date(Date.now() + 9e6) })).text(), 'one');
      await store.put('condition', 'two', { ifMatch: etag });
      await assert.rejects(store.put('condition', 'three', { ifMatch: etag }), fail('precondition-failed'));
    });

    on('listings are read page by page', async () => {
      const keys = Array.from({ length: 25 }, (_, n) => `list/${String(n).padStart(2, '0')}`);
      await Promise.all([...keys, 'list/a/b', 'list/a/c'].map((key) => store.put(key, 'x')));
      const found = [];
      for await (const { key } of store.list({ prefix: 'list/', pageSize: 10 })) found.push(key);
      assert.deepEqual(found, [...keys, 'list/a/b', 'list/a/c']);
      const pages = [];
      for await (const page of store.list({ prefix: 'list/', delimiter: '/', pageSize: 10 }).pages()) pages.push(page);
      assert.deepEqual(pages.flatMap(({ prefixes }) => prefixes), ['list/a/']);
      assert.ok(pages.length >= 3);
      const rest = await store.list({ prefix: 'list/', startAfter: 'list/23' }).toArray();
      assert.deepEqual(rest.map(({ key }) => key), ['list/24', 'list/a/b', 'list/a/c']);
    });

    on('blobs are deleted in bulk', async () => {
      const keys = Array.from({ length: 1005 }, (_, n) => `bulk/${n}`);
      await Promise.all(keys.slice(0, 20).map((key) => store.put(key, 'x')));
      const outcomes = await store.deleteMany(keys);
      assert.deepEqual(outcomes.map(({ key, error }) => [key, error]), keys.map((key) => [key, undefined]));
      assert.deepEqual(await store.list({ prefix: 'bulk/' }).toArray(), []);
    });

    on('copies, tags and presigned URLs work', async () => {
      await store.put('from', 'copied', { contentType: 'text/plain' });
      await store.copy('from', 'to', { ifAbsent: name !== 'moto' });
      assert.equal((await store.head('to')).contentType, 'text/plain');
      await store.copy({ key: 'from' }, 'to', { metadata: { a: '1' } });
      assert.deepEqual({ ...(await store.head('to')).metadata }, { a: '1' });
      await store.setTags('to', { colour: 'blue green' });
      assert.deepEqual({ ...(await store.tags('to')) }, { colour: 'blue green' });
      await store.delete('to');
      await assert.rejects(store.head('to'), fail('not-found'));
      const { url, headers } = await store.presign('get', 'from', { expiresIn: 60 });
      // With authentication, moto expects a header that presigned URLs do not have.
      if (name !== 'moto') assert.equal(await (await fetch(url, { headers })).text(), 'copied');
    });

    on('a long body is uploaded and downloaded in parts', async () => {
      const whole = Buffer.alloc(13 * MIB, Uint8Array.from({ length: 251 }, (_, at) => at));
      const written = await store.upload('long', Readable.from(whole, { highWaterMark: 100_000 }), { partSize: 5 * MIB, contentType: 'a/b' });
      assert.match(written.etag, /-3"$/);
      assert.equal((await store.head('long')).contentType, 'a/b');
      const download = await store.download('long', { partSize: 2 * MIB, concurrency: 3 });
      assert.ok(whole.equals(await download.bytes()));
      const range = await store.download('long', { partSize: MIB, range: { start: 100, end: 3 * MIB } });
      assert.ok(whole.subarray(100, 3 * MIB).equals(await range.bytes()));
      const last = await store.download('long', { range: { last: 77 } });
      assert.ok(whole.subarray(-77).equals(await last.bytes()));
      await assert.rejects(store.upload('long', 'x', { partSize: 0 }), fail('invalid-argument'));
    });

    on('a source that fills one buffer again and again is written as it was', async () => {
      const length = 3 * 5 * MIB + 100;
      // Sizes below, at and above those of a chunk, and more than a part.
      for (const size of [1000, 64 << 10, 100_000, MIB, 5 * MIB, 6 * MIB]) {
        const source = async function* () {
          const buffer = Buffer.alloc(size);
          for (let at = 0, n = 1; at < length; at += size, n += 1) {
            yield buffer.fill(n % 251).subarray(0, Math.min(size, length - at));
          }
          buffer.fill(0);
        };
        const expected = Buffer.concat(
          Array.from({ length: Math.ceil(length / size) }, (_, at) => Buffer.alloc(size, (at + 1) % 251)),
        ).subarray(0, length);
        await store.upload('refilled', source(), { partSize: 5 * MIB });
        assert.ok(expected.equals(await (await store.get('refilled')).bytes()), `upload of pieces of ${size} bytes`);
        await store.put('refilled', source(), { length });
        assert.ok(expected.equals(await (await store.get('refilled')).bytes()), `put of pieces of ${size} bytes`);
        await store.delete('refilled');
        // Gathered before it is sent.
        await store.put('refilled', source(), { length, ifAbsent: name !== 'moto' });
        assert.ok(expected.equals(await (await store.get('refilled')).bytes()), `gathered pieces of ${size} bytes`);
      }
    });

    on('an upload whose source fails leaves nothing', async () => {
      const source = async function* () {
        yield Buffer.alloc(6 * MIB);
        throw new Error('the disk is gone');
      };
      await assert.rejects(store.upload('broken', source(), { partSize: 5 * MIB }), (error) => {
        assert.equal(error.kind, 'io');
        assert.match(error.message, /upload "broken".*the disk is gone/);
        return true;
      });
      assert.deepEqual(await store.listUploads({ prefix: 'broken' }).toArray(), []);
      await assert.rejects(store.head('broken'), fail('not-found'));
    });

    on('an aborted call throws the reason of its signal', async () => {
      const reason = new Error('enough');
      await assert.rejects(store.head('from', { signal: AbortSignal.abort(reason) }), reason);
      const stop = new AbortController();
      const source = async function* () {
        yield Buffer.alloc(6 * MIB);
        stop.abort(reason);
        yield Buffer.alloc(6 * MIB);
      };
      await assert.rejects(store.upload('stopped', source(), { partSize: 5 * MIB, signal: stop.signal }), reason);
      assert.deepEqual(await store.listUploads({ prefix: 'stopped' }).toArray(), []);
      const blob = await store.get('long', { signal: stop.signal }).catch((error) => error);
      assert.equal(blob, reason);
    });

    on('odd keys are stored', async () => {
      for (const key of ['a b+c%20', 'ünï/😀', '//x/./../y', '?#&="\'<>', 'e\u0301', '\\']) {
        await store.put(key, key);
        assert.equal(await (await store.get(key)).text(), key);
        await store.delete(key);
      }
      await assert.rejects(store.put('\ud800', 'x'), /no valid Unicode/);
      await assert.rejects(store.head(5), fail('invalid-argument'));
    });

    on('a bucket is created and deleted', async () => {
      assert.equal(await store.bucketExists('another-bucket'), false);
      await store.createBucket('another-bucket');
      assert.equal(await store.bucketExists('another-bucket'), true);
      assert.ok((await store.listBuckets().toArray()).some((bucket) => bucket.name === 'another-bucket'));
      await store.deleteBucket('another-bucket');
    });

    on('wrong credentials are an error without the secret', async () => {
      const wrong = await open({ ...service.settings, secretKey: 'hush, a wrong one' }, { allowPrivate: true });
      await assert.rejects(wrong.head('from'), (error) => fail('access-denied')(error) && !inspect(error, { depth: 9 }).includes('hush'));
      wrong.close();
    });
  });
}

test('an unknown option or setting is an error that names it', async () => {
  const settings = { bucket: 'photos', endpoint: 'http://127.0.0.1:1' };
  const store = await open(settings, { allowPrivate: true });
  await assert.rejects(store.put('k', 'x', { ifAbsnt: true }), (error) => error.subject === 'ifAbsnt' && /ifAbsent/.test(error.message));
  await assert.rejects(store.head('k', null), /options are no object/);
  await assert.rejects(store.presign('patch', 'k'), fail('invalid-argument'));
  await assert.rejects(open({ ...settings, buckett: 'x' }), (error) => error.kind === 'invalid-settings' && error.subject === 'buckett');
  await assert.rejects(open({ ...settings, timeout: 'soon' }), (error) => error.subject === 'timeout');
  await assert.rejects(open(settings, { allowAll: true }), /allowPrivate/);
  await assert.rejects(open(settings, { limits: { concurrency: 0 } }), /concurrency/);
  await assert.rejects(open({ ...settings, accessKey: 'a', 'access-key': 'b' }), /twice/);
});
