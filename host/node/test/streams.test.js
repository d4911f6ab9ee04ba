// Concurrency, memory, and connections.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from '../index.js';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { devServer } from './services.js';

const MIB = 1 << 20;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** A server that answers each request when it is asked to. */
async function slowServer(respond) {
  const server = http.createServer((request, response) => {
    request.resume();
    request.on('end', () => respond(request, response));
  });
  let connections = 0;
  server.on('connection', () => (connections += 1));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const settings = { bucket: 'photos', endpoint: `http://127.0.0.1:${server.address().port}`, accessKey: 'a', secretKey: 's' };
  return { settings, connections: () => connections, close: () => server.close() };
}

test('four slow puts run in parallel, and timers fire meanwhile', async () => {
  const waiting = [];
  // None is answered before all four have arrived: one after the other, they would never end.
  const server = await slowServer((_, response) => {
    waiting.push(response);
    if (waiting.length === 4) setTimeout(() => waiting.forEach((one) => one.writeHead(200, { etag: '"e"' }).end()), 200);
  });
  const store = await open(server.settings, { allowPrivate: true });
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 10);
  const puts = await Promise.all([1, 2, 3, 4].map((n) => store.put(`k${n}`, 'x')));
  clearInterval(timer);
  assert.deepEqual(puts.map(({ etag }) => etag), Array(4).fill('"e"'));
  assert.ok(ticks >= 2, `${ticks} ticks of a timer in more than 200 ms`);
  store.close();
  server.close();
});

test('a long body in memory does not keep timers from firing', async () => {
  const server = await slowServer((_, response) => response.writeHead(200, { etag: '"e"' }).end());
  const store = await open(server.settings, { allowPrivate: true });
  let ticks = 0;
  const count = () => (ticks += 1);
  const timer = setInterval(count, 1);
  await store.put('k', Buffer.alloc(32 * MIB));
  clearInterval(timer);
  assert.ok(ticks >= 16, `${ticks} ticks`);
  store.close();
  server.close();
});

test('connections are kept and used again', async () => {
  const server = await slowServer((_, response) => response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end());
  const store = await open(server.settings, { allowPrivate: true });
  for (let n = 0; n < 10; n += 1) {
    await store.put('k', 'x');
    await store.head('k');
  }
  assert.equal(server.connections(), 1);
  store.close();
  server.close();
});

test('a stale idle connection costs no attempt', async () => {
  const sockets = [];
  const server = await slowServer((request, response) => {
    sockets.push(request.socket);
    // Each connection serves one request, and breaks at the next.
    if (sockets.filter((socket) => socket === request.socket).length > 1) request.socket.destroy();
    else response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
  });
  const store = await open({ ...server.settings, maxRetries: 0 }, { allowPrivate: true });
  await store.head('k');
  assert.equal((await store.head('k')).etag, '"e"');
  assert.equal(server.connections(), 2);
  store.close();
  server.close();
});

test('more calls than the limit allows wait for a permit', async () => {
  let [now, most] = [0, 0];
  const server = await slowServer(async (_, response) => {
    now += 1;
    most = Math.max(most, now);
    await sleep(20);
    now -= 1;
    response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
  });
  const store = await open(server.settings, { allowPrivate: true, limits: { concurrency: 3 } });
  await Promise.all(Array.from({ length: 12 }, () => store.head('k')));
  assert.equal(most, 3);
  store.close();
  server.close();
});

test('limits of more than the longest timer of Node do not end a call at once', async () => {
  // Longer than a timer that overflows, which fires after a millisecond.
  const server = await slowServer(async (_, response) => {
    await sleep(20);
    response.writeHead(200, { etag: '"e"', 'content-length': 4 });
    response.write('ab');
    await sleep(20);
    response.end('cd');
  });
  const days = 30 * 24 * 3_600_000;
  const limits = { concurrency: 1, callTime: days, timeout: days };
  const store = await open(server.settings, { allowPrivate: true, limits });
  for (const timeLimit of [undefined, days, 2 ** 31, Infinity]) {
    const read = async () => (await store.get('k', { timeLimit })).text();
    // The second one waits for the permit of the first.
    assert.deepEqual(await Promise.all([read(), read()]), ['abcd', 'abcd'], String(timeLimit));
  }
  store.close();
  server.close();
});

test('an early response without a body closes its connection', { timeout: 30_000 }, async () => {
  const closed = [];
  // Reads a header, and nothing of the body.
  const server = net.createServer((socket) => {
    closed.push(new Promise((resolve) => socket.on('close', resolve)));
    socket.on('error', () => {});
    socket.once('data', () => socket.pause().write('HTTP/1.1 304 Not Modified\r\netag: "e"\r\n\r\n', () => setImmediate(() => socket.resume())));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const settings = { bucket: 'photos', endpoint: `http://127.0.0.1:${server.address().port}`, accessKey: 'a', secretKey: 's', maxRetries: 0 };
  const store = await open(settings, { allowPrivate: true });
  const body = Buffer.alloc(16 * MIB);
  await Promise.allSettled([1, 2, 3].map((n) => store.put(`k${n}`, body)));
  assert.equal(closed.length, 3);
  await Promise.all(closed);
  store.close();
  server.close();
});

test('an abort between a stale attempt and its repetition ends the call', async () => {
  const served = new Set();
  const server = await slowServer((request, response) => {
    if (served.has(request.socket)) return request.socket.destroy();
    served.add(request.socket);
    return response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
  });
  const store = await open(server.settings, { allowPrivate: true });
  await store.head('k');
  const stop = new AbortController();
  // The first attempt removes its listener when it ends.
  stop.signal.removeEventListener = (...given) => {
    EventTarget.prototype.removeEventListener.apply(stop.signal, given);
    stop.abort();
  };
  await assert.rejects(store.head('k', { signal: stop.signal }), { name: 'AbortError' });
  store.close();
  server.close();
});

test('an aborted request closes its connection', async () => {
  const stop = new AbortController();
  let closed;
  const gone = new Promise((resolve) => (closed = resolve));
  const server = await slowServer((request) => {
    request.socket.on('close', closed);
    stop.abort();
  });
  const store = await open(server.settings, { allowPrivate: true });
  await assert.rejects(store.head('k', { signal: stop.signal }), { name: 'AbortError' });
  await gone;
  await assert.rejects(store.head('k', { timeLimit: 50 }), { kind: 'timeout' });
  store.close();
  server.close();
});

test('a body that is given up closes its connection', async () => {
  const closed = [];
  const whole = Buffer.alloc(16 * MIB, 7);
  const server = await slowServer((request, response) => {
    closed.push(new Promise((resolve) => request.socket.once('close', resolve)));
    response.writeHead(200, { etag: '"e"', 'content-length': whole.length }).end(whole);
  });
  const store = await open(server.settings, { allowPrivate: true });
  const cancelled = await store.get('k');
  cancelled.cancel();
  await assert.rejects(cancelled.bytes(), { kind: 'io' });
  for await (const piece of await store.get('k')) if (piece.length > 0) break;
  await (await store.get('k')).stream().cancel();
  const stop = new AbortController();
  const stopped = await store.get('k', { signal: stop.signal });
  stop.abort();
  await assert.rejects(stopped.bytes(), { name: 'AbortError' });
  const late = await store.get('k', { timeLimit: 200 });
  await sleep(400);
  await assert.rejects(late.bytes(), { kind: 'timeout' });
  assert.equal(closed.length, 5);
  await Promise.all(closed);
  store.close();
  server.close();
});

test('a closed store sends nothing', async () => {
  let requests = 0;
  const server = await slowServer((_, response) => {
    requests += 1;
    response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end();
  });
  const store = await open(server.settings, { allowPrivate: true });
  await store.head('k');
  store.close();
  await assert.rejects(store.head('k'), { kind: 'network', message: /the store is closed/ });
  assert.equal(requests, 1);
  server.close();
});

test('a body that is not read on does not time out, and holds back the service', async () => {
  const whole = Buffer.alloc(16 * MIB, 7);
  const server = await slowServer((_, response) => response.writeHead(200, { etag: '"e"', 'content-length': whole.length }).end(whole));
  const store = await open({ ...server.settings, timeout: '300ms' }, { allowPrivate: true });
  const blob = await store.get('k');
  const pieces = blob[Symbol.asyncIterator]();
  const first = await pieces.next();
  // Longer than the timeout: the time that the caller takes does not count.
  await sleep(900);
  let length = first.value.length;
  for (let next; !(next = await pieces.next()).done; ) length += next.value.length;
  assert.equal(length, whole.length);
  store.close();
  server.close();
});

describe('long bodies', () => {
  let service;
  before(async () => {
    service = await devServer();
  });
  after(() => service?.stop());

  test('200 MB are written and read in bounded memory', async () => {
    const length = 200 * 1000 * 1000;
    const piece = 64 << 10;
    const store = await open(service.settings, { allowPrivate: true });
    let most = 0;
    // What is in use, without what the collector has not freed yet.
    const watch = setInterval(() => {
      collect();
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    }, 20);
    const source = async function* () {
      for (let at = 0; at < length; at += piece) yield Buffer.alloc(Math.min(piece, length - at), at / piece);
    };
    await store.upload('up', source(), { partSize: 5 * MIB, concurrency: 2 });
    const uploading = most;
    most = 0;
    let received = 0;
    for await (const part of await store.get('up')) {
      assert.equal(part[0], Math.floor(received / piece) % 256);
      received += part.length;
    }
    assert.equal(received, length);
    const getting = most;
    most = 0;
    received = 0;
    for await (const part of (await store.download('up', { partSize: MIB, concurrency: 4 })).stream()) received += part.length;
    assert.equal(received, length);
    clearInterval(watch);
    // Three parts of 5 MiB, a few pieces, and four parts of 1 MiB; the rest is freed late.
    for (const [what, bytes] of Object.entries({ uploading, getting, downloading: most })) {
      assert.ok(bytes < 80 * MIB, `${bytes} bytes of buffers while ${what}`);
    }
    console.log(`buffers: ${[uploading, getting, most].map((bytes) => Math.round(bytes / MIB)).join(', ')} MiB (upload, get, download)`);
    store.close();
  });
});
