// Where a store may connect: the tables of host/sandbucket/src/http/ip_policy.rs and egress.rs, and requests that are refused.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { open } from '../index.js';
import { Egress } from '../src/egress.js';
import { IpPolicy, isPrivate, segments } from '../src/ip-policy.js';

const EVERYTHING = { allowNetworks: ['0.0.0.0/0', '::/0'] };
const refuses = (options, address) => new IpPolicy(options).refuses(address);

test('addresses of IPv6 are parsed', () => {
  assert.deepEqual(segments('::'), Array(8).fill(0));
  assert.deepEqual(segments('1::2'), [1, 0, 0, 0, 0, 0, 0, 2]);
  assert.deepEqual(segments('::ffff:1.2.3.4'), [0, 0, 0, 0, 0, 0xffff, 0x102, 0x304]);
  assert.deepEqual(segments('fe80::1%eth0'), [0xfe80, 0, 0, 0, 0, 0, 0, 1]);
  assert.deepEqual(segments('1:2:3:4:5:6:7:8'), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('private addresses need a policy that allows them', () => {
  for (const address of [
    '10.0.0.1', '100.64.0.1', '100.127.255.255', '127.0.0.1', '127.0.0.53', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.0.0.1',
    '192.0.2.1', '192.88.99.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '240.0.0.1', '::1', 'fc00::1',
    'fd12::1', 'fec0::1', '100::1', '2001:2::1', '2001:20::1', '2001:db8::1', '3fff::1', '5f00::1',
  ]) {
    assert.equal(refuses({}, address)?.never, false, address);
    assert.equal(refuses(EVERYTHING, address), undefined, address);
    assert.equal(refuses({ allowPrivate: true }, address), undefined, address);
  }
});

test('public addresses are reached under every policy', () => {
  for (const address of [
    '1.1.1.1', '52.95.110.1', '99.255.255.255', '100.128.0.1', '172.32.0.1', '192.0.1.1', '2606:4700:4700::1111',
    '2a00:1450::1234:5efe:101:101', '2001:200::1', '64:ff9b::1.1.1.1',
  ]) {
    for (const options of [{}, EVERYTHING, { allowPrivate: true }]) assert.equal(refuses(options, address), undefined, address);
  }
});

test('metadata, link-local and group addresses are refused under every policy', () => {
  for (const address of [
    '169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '192.0.0.192', '168.63.129.16', '169.254.0.23',
    '169.254.42.42', 'fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', 'fd00:42::42', 'fd00:c1::a9fe:a9fe', 'fd00:a9fe:a9fe::1',
    'fe80::a9fe:a9fe', '169.254.0.0', '169.254.255.255', 'fe80::1', 'febf::1', 'fe80::1%lo', '0.0.0.0', '0.1.2.3', '::', '224.0.0.1',
    '239.255.255.255', '255.255.255.255', 'ff02::1', '::ffff:1.1.1.1', '::ffff:0:1.1.1.1', '::1.1.1.1', '64:ff9b:1::1.1.1.1',
    '64:ff9b:2::1', '2002:101:101::1', '2001::1', '2001:0:4136:e378:8000:63bf:3fff:fdd2', '2a00::5efe:1.1.1.1',
    '2a00::200:5efe:1.1.1.1', '64:ff9b::10.0.0.1', '64:ff9b::127.0.0.1', '64:ff9b::169.254.169.254', '64:ff9b::168.63.129.16', '64:ff9b::',
    'localhost', '', '1.1.1',
  ]) {
    for (const options of [{}, EVERYTHING, { allowPrivate: true }, { allowPrivate: true, ...EVERYTHING }]) {
      assert.equal(refuses(options, address)?.never, true, address);
    }
  }
});

test('every embedding of every IPv4 address is refused', () => {
  const hex = (number) => number.toString(16);
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0);
  for (let round = 0; round < 2000; round += 1) {
    const four = random();
    const [high, low] = [four >>> 16, four & 0xffff];
    const forms = [
      `::ffff:${hex(high)}:${hex(low)}`, `::ffff:0:${hex(high)}:${hex(low)}`, `2002:${hex(high)}:${hex(low)}::1`,
      `2001:0:${hex(high)}:${hex(low)}::`, `64:ff9b:1::${hex(high)}:${hex(low)}`, `fe80::5efe:${hex(high)}:${hex(low)}`,
      `2001:db8:0:1:0:5efe:${hex(high)}:${hex(low)}`, `2a00:1:2:3:200:5efe:${hex(high)}:${hex(low)}`,
      `fd12:1:2:3:300:5efe:${hex(high)}:${hex(low)}`,
    ];
    for (const form of forms) assert.equal(refuses({ allowPrivate: true, ...EVERYTHING }, form)?.never, true, form);
  }
});

test('a listed network widens the policy by itself alone', () => {
  const options = { allowNetworks: ['10.1.0.0/16', 'fd12::/16'] };
  const allowed = ['10.1.2.3', 'fd12::1', '10.2.0.1', '127.0.0.1', '1.1.1.1'].map((address) => refuses(options, address) === undefined);
  assert.deepEqual(allowed, [true, true, false, false, true]);
  for (const network of ['10.0.0.0', '10.0.0.0/33', 'x/8', '10.0.0.0/8/9', '::/129', '10.0.0.0/-1']) {
    assert.throws(() => new IpPolicy({ allowNetworks: [network] }), TypeError, network);
  }
});

test('private endpoints are in private networks', () => {
  for (const address of ['10.0.0.1', '100.64.0.1', '127.0.0.1', '172.16.3.4', '192.168.1.1', '::1', 'fd00::1']) assert.ok(isPrivate(address), address);
  for (const address of ['1.1.1.1', '169.254.1.1', '0.0.0.0', '::ffff:10.0.0.1', 'fd00:ec2::254']) assert.ok(!isPrivate(address), address);
});

const egress = (settings) => new Egress(Object.entries(settings));
const allows = (policy, url) => {
  const [, scheme, authority] = /^(https?):\/\/([^/]*)/.exec(url);
  return policy.check(scheme === 'https', authority).refused === undefined;
};

test('only the endpoint and its bucket are reached', () => {
  const policy = egress({ endpoint: 'https://s3.example.com:9000/base', bucket: 'b' });
  for (const url of ['https://s3.example.com:9000/b/k', 'https://B.s3.Example.com:9000/k']) assert.ok(allows(policy, url), url);
  for (const url of [
    'http://s3.example.com:9000/', 'https://s3.example.com/', 'https://s3.example.com:9001/', 'https://c.s3.example.com:9000/',
    'https://s3.example.com.evil.test:9000/', 'https://s3.example.com:9000@evil.test/', 'https://u@s3.example.com:9000/',
    'https://169.254.169.254/', 'https://s3.example.com:9000\\@evil.test/', 'https://s3.example.com:+9000/',
    'https://s3.example.com:99999/', 'https://s3.example.com:9000:9000/', 'https://s3.example.com :9000/', 'https:///',
  ]) {
    assert.ok(!allows(policy, url), url);
  }
  assert.match(policy.check(true, 'evil.test').refused, /https:\/\/evil\.test.*https:\/\/s3\.example\.com:9000/);
  assert.deepEqual(egress({ endpoint: '[::1]', bucket: 'b' }).authorities, ['https://[::1]']);
  assert.deepEqual(egress({ endpoint: 'HTTP://h:9000' }).authorities, ['http://h:9000']);
});

test('without an endpoint it is AWS, with the hosts that the settings want', () => {
  const of = (more) => egress({ region: 'eu-west-1', ...more }).authorities;
  assert.deepEqual(of({ bucket: 'b', endpoint: ' ' }), ['https://s3.eu-west-1.amazonaws.com', 'https://b.s3.eu-west-1.amazonaws.com']);
  assert.deepEqual(egress({ region: 'cn-north-1' }).authorities, ['https://s3.cn-north-1.amazonaws.com.cn']);
  const second = (more) => of({ bucket: 'b', ...more })[1];
  assert.equal(second({ 'dual-stack': 'true' }), 'https://b.s3.dualstack.eu-west-1.amazonaws.com');
  assert.equal(second({ fips: 'TRUE' }), 'https://b.s3-fips.eu-west-1.amazonaws.com');
  assert.equal(second({ fips: 'true', 'dual-stack': 'true' }), 'https://b.s3-fips.dualstack.eu-west-1.amazonaws.com');
  assert.equal(second({ accelerate: 'true' }), 'https://b.s3-accelerate.amazonaws.com');
  assert.equal(second({ accelerate: 'true', 'dual-stack': 'true' }), 'https://b.s3-accelerate.dualstack.amazonaws.com');
  assert.ok(of({ accelerate: 'true' }).includes('https://s3.eu-west-1.amazonaws.com'));
  const bucket = 'arn:aws:s3:us-west-2:123456789012:accesspoint/p';
  assert.deepEqual(of({ bucket }), ['https://p-123456789012.s3-accesspoint.us-west-2.amazonaws.com']);
  assert.deepEqual(of({ bucket, fips: 'true' }), ['https://p-123456789012.s3-accesspoint-fips.us-west-2.amazonaws.com']);
});

test('nonsense reaches nothing', () => {
  for (const settings of [
    { endpoint: 'ftp://x' }, { endpoint: 'https://' }, { endpoint: 'a b' }, { endpoint: 'http://[::1' }, { endpoint: 'https://x:99999' },
    { region: 'x.evil.test/', bucket: 'b' }, { region: 'evil.test#', bucket: 'b' }, { bucket: 'arn:aws:s3:us-west-2:1/evil.test/:accesspoint/p' },
    { bucket: 'arn:aws:s3:us-west-2:123456789012:accesspoint/evil.test/p' }, { bucket: 'arn:aws:s3:evil.test/:123456789012:accesspoint/p' },
    { bucket: 'arn:aws:s3' },
  ]) {
    assert.deepEqual(egress(settings).authorities, [], JSON.stringify(settings));
  }
});

test('private endpoints are recognised', () => {
  for (const endpoint of [
    'http://127.0.0.1:9000', 'http://2130706433:9000', 'http://0x7f.1:9000', '10.1.2.3', 'http://[::1]:9000', 'localhost:9000',
    'https://myminio:9000', 's3.corp.internal', 'minio.localhost',
  ]) {
    assert.ok(egress({ endpoint }).isLocal, endpoint);
  }
  for (const endpoint of [
    's3.amazonaws.com', '1.2.3.4', 'https://minio.example.com', '[2606:4700::1]', '169.254.169.254', '[::ffff:127.0.0.1]', '[fe80::1]', '0.0.0.0',
  ]) {
    assert.ok(!egress({ endpoint }).isLocal, endpoint);
  }
});

test('a store connects to no address that its policy refuses', async () => {
  let connections = 0;
  const server = http.createServer((_, response) => response.end());
  server.on('connection', () => (connections += 1));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  try {
    // By address, and by a name that leads there.
    for (const host of ['127.0.0.1', 'localhost']) {
      const settings = { bucket: 'photos', endpoint: `http://${host}:${port}`, maxRetries: 0 };
      const store = await open(settings);
      await assert.rejects(store.head('k'), (error) => {
        assert.equal(error.kind, 'network', host);
        assert.equal(error.attempts <= 1, true);
        assert.match(error.message, /loopback/);
        return true;
      });
      store.close();
    }
    for (const endpoint of ['http://169.254.169.254', `http://0.0.0.0:${port}`, `http://[::ffff:127.0.0.1]:${port}`]) {
      const store = await open({ bucket: 'photos', endpoint, maxRetries: 0 }, { allowPrivate: true, allowNetworks: ['0.0.0.0/0', '::/0'] });
      await assert.rejects(store.head('k'), (error) => error.kind === 'network' && /no store may reach it|may only reach/.test(error.message), endpoint);
      store.close();
    }
    assert.equal(connections, 0);
  } finally {
    server.close();
  }
});
