// A hostile plugin (tests/rogue): each misdeed ends in an error of its own call, and other stores go on. Endless computing is left
// out: a thread of JavaScript cannot be interrupted, which is why the package runs no plugin but its own.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { transpileTo } from '../scripts/plugin.js';
import { load } from '../src/instances.js';
import { Store } from '../src/store.js';
import { TARGET } from './services.js';

const CONTROL = /[\n\r\u001b\u009b\u202e\u2028]/;
const folder = mkdtempSync(join(tmpdir(), 'sandbucket-rogue-'));
let plugin;
let server;
let authority;
const seen = [];
let respond = () => [200, ''];

before(async () => {
  const component = process.env.SANDBUCKET_ROGUE ?? join(TARGET, 'component/sandbucket-rogue.wasm');
  assert.ok(existsSync(component), `${component} is missing: \`cargo test --package sandbucket-tests --no-run\` builds it`);
  await transpileTo(readFileSync(component), folder);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  plugin = await load(pathToFileURL(`${folder}/`));
  server = http.createServer((request, response) => {
    seen.push(request.method);
    request.resume().on('end', () => {
      const [status, body] = respond(request);
      response.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  authority = `127.0.0.1:${server.address().port}`;
});
after(() => {
  server?.close();
  rmSync(folder, { recursive: true });
});

const opened = (mode, target = authority) =>
  Store.open({ bucket: 'photos', endpoint: `http://${authority}`, mode, target }, { allowPrivate: true }, plugin);

const OPERATIONS = {
  head: [['HEAD'], (store) => store.head('k')],
  get: [['GET', 'HEAD'], async (store) => (await store.get('k')).bytes()],
  put: [['PUT', 'GET', 'HEAD'], (store) => store.put('k', 'x'), true],
  delete: [['DELETE'], (store) => store.delete('k')],
  'delete-many': [['POST', 'DELETE'], (store) => store.deleteMany(['k']), true],
  list: [['GET', 'HEAD'], (store) => store.list().toArray()],
  'list-versions': [['GET', 'HEAD'], (store) => store.listVersions().toArray()],
  copy: [['PUT', 'GET', 'HEAD'], (store) => store.copy('k', 'to')],
  'get-tags': [['GET', 'HEAD'], (store) => store.tags('k')],
  'set-tags': [['PUT', 'DELETE'], (store) => store.setTags('k', { a: 'b' }), true],
  'abort-upload': [['DELETE', 'GET', 'PUT'], (store) => store.abortUpload('k', 'u')],
  'list-uploads': [['GET', 'HEAD'], (store) => store.listUploads().toArray()],
  'create-bucket': [['PUT', 'GET', 'HEAD'], (store) => store.createBucket('another')],
  'delete-bucket': [['DELETE', 'GET', 'HEAD'], (store) => store.deleteBucket('another')],
  'bucket-exists': [['HEAD', 'GET'], (store) => store.bucketExists('another')],
  'list-buckets': [['GET', 'HEAD'], (store) => store.listBuckets().toArray()],
};

/** Runs an operation in a mode; returns the error, which must be this package's, in one line, and of bounded length. */
async function misdeed(mode, operation = 'head', target = undefined) {
  seen.length = 0;
  let store;
  try {
    store = await opened(mode, target);
    await OPERATIONS[operation][1](store);
  } catch (error) {
    assert.equal(error.name, 'SandbucketError', inspect(error));
    assert.ok(error.message.length < 5000 && !CONTROL.test(error.message), `${mode}: ${error.message.slice(0, 200)}`);
    return error;
  } finally {
    store?.close();
  }
  return undefined;
}

async function isRefused(mode, operation, kinds, words = /./) {
  const error = await misdeed(mode, operation);
  assert.ok(error && kinds.includes(error.kind) && words.test(error.message), `${mode} of ${operation}: ${error ?? 'no error'}`);
}

test('honest requests are sent', async () => {
  for (const [operation, [[method]]] of Object.entries(OPERATIONS)) {
    assert.equal(await misdeed('', operation), undefined, operation);
    assert.deepEqual(seen, [method], operation);
  }
});

test('every operation has its methods', async () => {
  for (const [operation, [methods, , hasBody]] of Object.entries(OPERATIONS)) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']) {
      await misdeed(`method-${method.toLowerCase()}`, operation);
      // A body goes with a method that has one.
      const allowed = methods.includes(method) && (!hasBody || method === 'PUT' || method === 'POST');
      assert.deepEqual(seen, allowed ? [method] : [], `${operation} by ${method}`);
    }
  }
});

test('a trap fails its call and no other', async () => {
  for (const step of ['begin', 'resume', 'open']) {
    for (const name of ['unreachable', 'panic', 'overrun', 'recurse', 'sleep', 'handles', 'asks', 'allocate']) {
      await isRefused(`${step}-${name}`, 'head', ['plugin']);
      assert.equal(await misdeed('', 'put'), undefined);
    }
  }
  await isRefused('resume-unreachable', 'head', ['plugin'], /^plugin: head: it crashed \(.*unreachable.*\); its instance was discarded$/);
  await isRefused('resume-unreachable', 'put', ['plugin'], /put: .*; a write may or may not have taken effect$/);
  await isRefused('sends-in-steps', 'head', ['plugin']);
  assert.deepEqual(seen, []);
});

test('a trap costs the operations of its batch nothing', async () => {
  for (const mode of ['one-traps', 'one-traps-in-begin', 'one-traps-in-resume']) {
    const store = await opened(mode);
    const results = await Promise.allSettled(['a', 'misdeed', 'b', 'c'].map((key) => store.put(key, 'x')));
    assert.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'], mode);
    store.close();
  }
});

test('miscounted results fail the operation', async () => {
  for (const mode of ['begin-no-results', 'begin-more-results', 'resume-no-results', 'resume-countless-results']) {
    await isRefused(mode, 'head', ['plugin'], /results for 1 operations/);
  }
  for (const mode of ['few-outcomes', 'more-outcomes', 'many-outcomes']) await isRefused(mode, 'delete-many', ['integrity', 'plugin']);
});

test('outputs of other operations are refused', async () => {
  for (const step of ['begin', 'resume']) {
    for (const output of ['head', 'get', 'put', 'list', 'set-tags', 'bucket-exists', 'delete-many']) {
      for (const operation of ['head', 'get', 'put', 'list', 'set-tags']) {
        if (output === operation && (operation !== 'get' || step === 'resume')) assert.equal(await misdeed(`${step}-output-${output}`, operation), undefined);
        else await isRefused(`${step}-output-${output}`, operation, ['plugin']);
      }
    }
  }
});

test('a body for the caller needs an unread successful response', async () => {
  respond = () => [500, '0123456789'];
  await isRefused('get-of-error-response', 'get', ['plugin'], /no body/);
  respond = () => [200, '0123456789'];
  await isRefused('buffered-get', 'get', ['plugin'], /no body/);
  for (const operation of ['head', 'list', 'put']) await isRefused('unread-document', operation, ['plugin'], /leaves a body unread/);
});

test('ranges and digests are validated', async () => {
  respond = () => [200, '0123456789'];
  for (const mode of ['body-of-another-range', 'body-shorter-than-range', 'backward-body', 'body-past-the-end']) await isRefused(mode, 'get', ['integrity']);
  await isRefused('wrong-digest', 'get', ['integrity'], /checksum/);
  for (const mode of ['short-digest', 'long-digest', 'vast-size']) await isRefused(mode, 'get', ['plugin']);
  assert.equal(await misdeed('unknown-size', 'get'), undefined);
  respond = () => [200, ''];
});

test('requests to others, or that HTTP or a blob store does not have, are refused', async () => {
  for (const target of [
    '127.0.0.1:1', 'localhost', '169.254.169.254', '[::1]:80', ' ', 'a b', 'evil.test', `x@${authority}`, `${authority}@evil.test`, `${authority}1`,
  ]) {
    assert.equal((await misdeed('', 'head', target))?.kind, 'network', target);
    assert.deepEqual(seen, [], target);
  }
  const fields = [
    'connection', 'expect', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'via', 'forwarded', 'keep-alive', 'cookie',
    'proxy-authorization', 'x-forwarded-for', 'accept-encoding', 'host', 'x-http-method-override',
  ];
  const lines = ['a b:c\n', ':v\n', 'x\n', 'x-amz-a:\r\n', 'x-amz-a:\0\n', 'X-Amz-A:1\n', ' x-amz-a:1\n', 'x-amz-a :1\n'];
  const host = `host:${authority}\n`;
  const modes = [
    'foreign-scheme', ...fields.map((name) => `field-${name}`), ...lines.map((line) => `headers+${line}`), 'headers=',
    'many-lines', 'tiny-lines', 'some-lines', 'long-line', 'long-path', 'path=', 'path=no', 'path=/a b', 'path=/a#b', 'path=/\u0007',
    'path=http://evil.test/', `headers=${host}${host}`, 'headers=host:evil.test\n', `headers=${host}content-length:2\n`,
    `headers=${host}content-length:1\ncontent-length:1\n`, `headers=${host}content-length:+1\n`, `headers=${host}content-length: 1\n`,
    'huge-state', 'huge-body',
  ];
  for (const mode of modes) {
    for (const operation of ['head', 'put']) {
      await isRefused(mode, operation, ['network', 'plugin']);
      assert.deepEqual(seen, [], mode);
    }
  }
  for (const operation of ['head', 'get', 'list', 'copy', 'delete']) await isRefused('caller-body', operation, ['plugin'], /the operation has none/);
});

test('endless requests end the operation, and delays are bounded', async () => {
  for (const mode of ['endless-sends', 'endless-retries', 'endless-fallbacks', 'growing-state', `delay-${2n ** 64n - 1n}`, 'huge-retries', 'forged-retries']) {
    seen.length = 0;
    const store = await opened(mode);
    await assert.rejects(store.head('k', { timeLimit: 800 }), (error) => {
      assert.ok(error.message.length < 5000 && !CONTROL.test(error.message));
      return error.name === 'SandbucketError';
    });
    assert.ok(seen.length < 20, `${mode}: ${seen.length} requests`);
    store.close();
  }
  assert.equal(await misdeed(`timeout-${2n ** 64n - 1n}`), undefined);
});

test('odd properties and oversized outputs are refused', async () => {
  for (const mode of ['long-etag', 'forged-etag', 'long-version', 'forged-type', 'many-metadata', 'most-metadata', 'many-attributes']) {
    for (const operation of ['head', 'get']) await isRefused(mode, operation, ['plugin']);
  }
  for (const mode of ['long-key', 'many-entries', 'most-entries', 'many-prefixes', 'long-token']) await isRefused(mode, 'list', ['plugin']);
  for (const operation of ['list-versions', 'get-tags']) await isRefused('many-entries', operation, ['plugin']);
  for (const mode of ['begin-huge-error', 'resume-huge-error', 'begin-forged-error']) await isRefused(mode, 'head', ['service']);
  const store = await opened('far-date');
  assert.equal((await store.head('k')).lastModified, undefined);
});

test('a presigned URL of another authority is refused', async () => {
  for (const url of [
    'http://evil.test/k', `https://${authority}/k`, `ftp://${authority}/k`, `//${authority}/k`, '', `http://${authority}@evil.test/`,
    `http://u@${authority}/k`, `http://${authority}\n/`, 'http://\\evil.test/',
  ]) {
    const store = await opened(`presigned-${url}`);
    await assert.rejects(store.presign('get', 'k'), { kind: 'plugin' }, url);
  }
  const good = await opened(`presigned-http://${authority}/k`);
  assert.equal((await good.presign('get', 'k')).url, `http://${authority}/k`);
  await assert.rejects((await opened('presign-sends')).presign('get', 'k'), { name: 'SandbucketError' });
  assert.deepEqual(seen.filter((method) => method !== 'HEAD'), []);
});

