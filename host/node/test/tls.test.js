// Certificates: of the authority that is trusted, for the right name, and never plain HTTP.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from '../index.js';

/** A certificate for these names, by openssl; undefined where there is none. */
function certificate(names) {
  const folder = mkdtempSync(join(tmpdir(), 'sandbucket-tls-'));
  try {
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=test',
      '-addext', `subjectAltName=${names}`, '-keyout', join(folder, 'key'), '-out', join(folder, 'cert'),
    ], { stdio: 'pipe' });
    return { key: readFileSync(join(folder, 'key')), cert: readFileSync(join(folder, 'cert')) };
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function serve(identity) {
  const server = https.createServer(identity, (_, response) => response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end());
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, close: () => server.close() };
}

test('certificates are verified', async (context) => {
  const [good, other] = [certificate('DNS:localhost,IP:127.0.0.1'), certificate('DNS:other.test')];
  if (!good) return context.skip('there is no openssl');
  const head = async (identity, host, options) => {
    const server = await serve(identity);
    const settings = { bucket: 'photos', endpoint: `https://${host}:${server.port}`, maxRetries: 0 };
    const store = await open(settings, { allowPrivate: true, ...options });
    try {
      return (await store.head('k')).etag;
    } finally {
      store.close();
      server.close();
    }
  };
  const untrusted = (error) => error.kind === 'network' && /certificate/.test(error.message);
  for (const host of ['localhost', '127.0.0.1']) assert.equal(await head(good, host, { ca: good.cert }), '"e"');
  await assert.rejects(head(good, 'localhost', {}), untrusted);
  await assert.rejects(head(other, 'localhost', { ca: other.cert }), untrusted);
  assert.equal(await head(other, 'localhost', { allowInvalidCerts: true }), '"e"');
});

test('a server without TLS is an error, and gets no request', async () => {
  let received = Buffer.alloc(0);
  const server = net.createServer((socket) => {
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    });
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const store = await open({ bucket: 'photos', endpoint: `https://localhost:${server.address().port}`, maxRetries: 0 }, { allowPrivate: true });
  await assert.rejects(store.head('k'), { kind: 'network' });
  assert.ok(!received.includes('HEAD'));
  store.close();
  server.close();
});
