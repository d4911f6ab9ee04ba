// The scenarios that every driver passes: see tests/drivers/README.md.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { open } from '../index.js';
import { SCENARIOS, Scenarios } from './services.js';

const { format, scenarios } = JSON.parse(readFileSync(SCENARIOS, 'utf8'));
const PIECE = 10_000;

/** The bytes that the table describes. */
function bytes(content) {
  if (typeof content === 'string') return Buffer.from(content);
  if (content.pattern !== undefined) return Buffer.alloc(content.pattern, Uint8Array.from({ length: 251 }, (_, at) => at));
  if (content.repeat !== undefined) return Buffer.from(content.repeat.repeat(content.times));
  return Buffer.concat(content.join.map(bytes));
}

async function* pieces(whole, fails) {
  for (let at = 0; at < whole.length; at += PIECE) yield whole.subarray(at, at + PIECE);
  if (fails) throw new Error('the source fails');
}

async function readAll(blob) {
  const body = await blob.bytes();
  return { body, size: blob.info.size, etag: blob.info.etag };
}

const CALLS = {
  async get(store, { key, range, 'if-none-match': ifNoneMatch, 'time-limit-ms': timeLimit }) {
    return readAll(await store.get(key, { range: range && { start: range[0], end: range[1] }, ifNoneMatch, timeLimit }));
  },
  async download(store, { key, 'part-size': partSize, concurrency }) {
    return readAll(await store.download(key, { partSize, concurrency }));
  },
  head: (store, { key }) => store.head(key),
  put(store, { key, body, 'stream-length': length, 'stream-fails': fails, 'if-absent': ifAbsent, 'if-match': ifMatch, 'write-id': writeId }) {
    const whole = bytes(body);
    return store.put(key, length === undefined ? whole : pieces(whole, fails), { length, ifAbsent, ifMatch, writeId });
  },
  upload: (store, { key, body, 'part-size': partSize, concurrency }) => store.upload(key, pieces(bytes(body)), { partSize, concurrency }),
  async delete(store, { key }) {
    await store.delete(key);
    return {};
  },
  async 'delete-many'(store, { keys }) {
    const outcomes = await store.deleteMany(keys);
    return { failed: outcomes.filter(({ error }) => error).map(({ key, error: { kind, code } }) => ({ key, kind, code })) };
  },
  async list(store, { prefix }) {
    return { keys: (await store.list({ prefix }).toArray()).map(({ key }) => key) };
  },
  copy: (store, { from, to }) => store.copy(from, to),
  async 'get-tags'(store, { key }) {
    return { tags: { ...(await store.tags(key)) } };
  },
};

function compareError(error, { kind, says, 'request-id': requestId, ...rest }, secret) {
  assert.equal(error.name, 'SandbucketError', inspect(error));
  assert.ok(kind.includes(error.kind), `the kind is ${error.kind}, not ${kind.join(' or ')}: ${inspect(error)}`);
  for (const [name, value] of Object.entries({ ...rest, ...(requestId && { requestId }) })) {
    assert.equal(error[name], value, `${name} of ${inspect(error)}`);
  }
  if (says) assert.ok(error.message.includes(says), `the message lacks ${JSON.stringify(says)}: ${error.message}`);
  assert.ok(error.message.length < 4096 + 16 && !/[\n\r\u001b]/.test(error.message), error.message);
  assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret), 'the secret shows');
}

describe('scenarios of drivers', { concurrency: 4 }, () => {
  let servers;
  before(async () => {
    assert.equal(format, 1);
    assert.ok(scenarios.length >= 25);
    servers = await Scenarios.start();
  });
  after(() => servers?.stop());

  for (const scenario of scenarios) {
    test(scenario.name, async () => {
      const { settings } = servers.index[scenario.name];
      const allowPrivate = scenario['private-networks'] !== false;
      const store = await open(settings, { allowPrivate });
      try {
        const [[name, given]] = Object.entries(scenario.call);
        let outcome;
        let error;
        try {
          outcome = await CALLS[name](store, given);
        } catch (thrown) {
          error = thrown;
        }
        const { ok, error: failure } = scenario.expect;
        if (ok && error) throw error;
        if (failure) {
          assert.ok(error, `it succeeded, where ${failure.kind.join(' or ')} was expected`);
          compareError(error, failure, settings['secret-key']);
        } else {
          for (const [field, expected] of Object.entries(ok)) {
            if (field === 'body') assert.ok(bytes(expected).equals(outcome.body), `the body is ${outcome.body.length} other bytes`);
            else assert.deepEqual(outcome[field], expected, field);
          }
        }
        assert.deepEqual(await servers.mismatches(scenario.name), []);
        if (allowPrivate) {
          await store.put('after', 'all is well');
          assert.equal(await (await store.get('after')).text(), 'all is well');
        }
      } finally {
        store.close();
      }
    });
  }
});
