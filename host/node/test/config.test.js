// Settings from TOML and from the environment: the rules of the Rust host's `Config`.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openConfig, openEnvironment, parseConfig } from '../index.js';
import { complete } from '../src/config/discovery.js';
import { interpolate } from '../src/config/interpolate.js';
import { Profiles } from '../src/config/profiles.js';
import { devServer } from './services.js';

const folder = mkdtempSync(join(tmpdir(), 'sandbucket-config-'));
after(() => rmSync(folder, { recursive: true }));
const file = (name, text) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const NONE = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' };

test('a store is opened by a file, a text, and the environment', async () => {
  const { settings, stop } = await devServer();
  try {
    const secret = file('secret', `${settings.secretKey}\n`);
    const toml = `
      [store.blob.s3]
      bucket = "${settings.bucket}"
      endpoint = "${settings.endpoint}"
      access-key = "%{env:KEY}%"
      secret-key = "%{file:${secret}}%"
      session-token = ""
      timeout = 30
      [sandbox]
      memory = "64MiB"
    `;
    const environment = { ...NONE, KEY: settings.accessKey };
    for (const opening of [openConfig(file('s.toml', toml), { environment }), parseConfig(toml, { environment })]) {
      const store = await opening;
      await store.put('k', 'x');
      store.close();
    }
    const prefixed = await parseConfig(toml, { environment, settings: { 'key-prefix': 'deep/' } });
    assert.equal(await (await prefixed.put('k', 'y'), await prefixed.get('k')).text(), 'y');
    prefixed.close();
    const variables = { ...NONE, AWS_ACCESS_KEY_ID: settings.accessKey, AWS_SECRET_ACCESS_KEY: settings.secretKey, AWS_ENDPOINT_URL: settings.endpoint };
    const store = await openEnvironment(settings.bucket, { environment: variables });
    assert.equal(await (await store.get('deep/k')).text(), 'y');
    store.close();
  } finally {
    stop();
  }
});

test('faults name the file and the key, and never the value', async () => {
  const section = (lines) => `[store.blob.s3]\nbucket = "photos"\nendpoint = "http://localhost:1"\naccess-key = "a"\nsecret-key = "hush"\n${lines}`;
  for (const [text, says] of [
    ['', /no section \[store\.blob\.s3\]/],
    ['[store]\nblob = 5', /no section/],
    ['store.blob.s3 = 5', /expected the section/],
    ['[store.blob.s3]\nsecret-key = "hush', /configuration:2/],
    [section('timeout = 1.5'), /store\.blob\.s3\.timeout: expected text, a number, true or false, not a fraction/],
    [section('timeout = "soon"'), /store\.blob\.s3\.timeout: /],
    [section('ca-file = "/no/such"'), /store\.blob\.s3\.ca-file: \/no\/such cannot be read: ENOENT/],
    [section('ca-file = "/dev/zero"'), /a character device/],
    [section('allow-private = "hush"'), /allow-private: expected true or false/],
    [section('proxy = "http://hush@p"'), /proxy: this package connects to no proxy/],
    [section('credentials = "aws"'), /credentials: /],
    [section('region = "%{env:NO}%"'), /region: the variable NO is not set/],
    [section('regionn = "x"'), /store\.blob\.s3\.regionn: /],
    [section('profile = "p"'), /store\.blob\.s3\.profile: there is no profile "p"/],
    [section(Array.from({ length: 300 }, (_, n) => `k${n} = 1`).join('\n')), /keys where 256 are allowed/],
    ['x'.repeat((1 << 20) + 1), /longer than 1048576/],
  ]) {
    await assert.rejects(parseConfig(text, { environment: NONE }), (error) => {
      assert.equal(error.kind, 'invalid-settings');
      assert.match(error.message, says);
      assert.ok(!error.message.includes('hush'), error.message);
      return true;
    });
  }
  await assert.rejects(openConfig(join(folder, 'none.toml')), /none\.toml: the file cannot be read: ENOENT/);
  await assert.rejects(openConfig(folder), /a folder/);
});

test('a public endpoint of a file leads to no private address', async () => {
  const text = '[store.blob.s3]\nbucket = "photos"\naccess-key = "a"\nsecret-key = "s"\nmax-retries = 0\nendpoint = ';
  const local = await parseConfig(`${text}"http://localhost:1"`, { environment: NONE });
  await assert.rejects(local.head('k'), /refused/);
  const forbidden = await parseConfig(`${text}"http://localhost:1"`, { environment: NONE, allowPrivateEndpoint: false });
  await assert.rejects(forbidden.head('k'), /loopback/);
});

test('references are replaced once, and bounded', async () => {
  const environment = { A: 'one', EMPTY: '', HALF: 'x'.repeat(32 << 10), LONGER: 'x'.repeat((64 << 10) + 1) };
  const put = (text) => interpolate(text, environment);
  assert.equal(await put('plain 100% {x}'), 'plain 100% {x}');
  assert.equal(await put('<%{env:A}%-%{env: A }%>'), '<one-one>');
  assert.equal(await put(`%{file:${file('once', 's3cr%{env:A}%t\r\n\n')}}%`), 's3cr%{env:A}%t');
  assert.equal(await put('ab%{%}%{cd'), 'ab%{cd');
  assert.equal(await put('%{%}%{env:A}%%{%}%%{env:A}%'), '%{env:A}%%one');
  assert.equal((await put('%{env:HALF}%')).length, 32 << 10);
  for (const [text, says] of [
    ['%{env:NONE}%', /NONE/], ['%{env:EMPTY}%', /EMPTY/], ['%{file:/no/such/file}%', /\/no\/such\/file/], ['%{file:/dev/zero}%', /longer/],
    ['%{env:A', /}%/], ['ab%{cd', /is written `%{%}%{`/], ['ab%{cd}%', /is written `%{%}%{`/], ['%{vault:x}%', /%{env:NAME}%/],
    ['%{env:A}%'.repeat(17), /more than 16/], ['%{env:LONGER}%', /LONGER is longer than 65536/], ['%{env:HALF}%%{env:HALF}%', /with all that it refers to/],
    [`%{file:${'a/'.repeat(3000)}}%`, /4096 bytes/],
  ]) {
    await assert.rejects(put(text), says, text.slice(0, 40));
  }
});

test('shared files are read as the tools of AWS read them', () => {
  const profiles = new Profiles();
  profiles.add(
    '# comment\n[default]\nregion = eu-west-1\ns3 =\n    max_concurrent_requests = 20\n[profile  work ]\nRegion=us-west-2 ; where\n' +
      'aws_access_key_id = FROMCONFIG\n[stray]\nregion = x\n[sso-session it]\nregion = y\n',
    'config', true,
  );
  profiles.add('[work]\naws_access_key_id = AK\r\naws_secret_access_key = a#b=c\n[other]\nnothing\n', 'credentials', false);
  const work = profiles.get('work');
  assert.deepEqual([work.get('aws_access_key_id'), work.get('aws_secret_access_key'), work.get('region')], ['AK', 'a#b=c', 'us-west-2']);
  assert.equal(profiles.get('default').get('s3.max_concurrent_requests'), '20');
  assert.equal(profiles.malformed, 'credentials:5: this is neither a `[SECTION]` nor `KEY = VALUE`');
  assert.throws(() => profiles.named('stray'), /there are default, other, work; the config file has \[stray\]/);
  for (const [text, line] of [
    ['aws_access_key_id = hush', 1], ['[p]\na = 1\n\n# c\n  hush = 2\n', 5], ['[p]\ns3 =\n  hush\n', 3], ['[p]\n= hush\n', 2],
  ]) {
    const faulty = new Profiles();
    faulty.add(text, 'credentials', false);
    assert.ok(faulty.malformed.startsWith(`credentials:${line}: `) && !faulty.malformed.includes('hush'), faulty.malformed);
  }
});

test('credentials, region and endpoint are found in the order of the Rust host', async () => {
  const config = file('config', '[default]\nregion = of-default\n[profile p]\nregion = of-p\nservices = s\nca_bundle = ~/ca\n[services s]\ns3 =\n  endpoint_url = http://of-services\n');
  const credentials = file('credentials', '[default]\naws_access_key_id = D\naws_secret_access_key = DS\n[p]\naws_access_key_id = P\naws_secret_access_key = PS\naws_session_token = PT\n[half]\naws_access_key_id = H\n[sso]\nsso_session = x\n');
  const files = { AWS_CONFIG_FILE: config, AWS_SHARED_CREDENTIALS_FILE: credentials, HOME: '/home/me' };
  const found = async (own, profile, environment) => {
    const settings = new Map(Object.entries(own));
    const ca = await complete(settings, profile, { ...files, ...environment });
    return { ...Object.fromEntries(settings), ...(ca && { ca }) };
  };
  assert.deepEqual(await found({}, undefined, {}), { 'access-key': 'D', 'secret-key': 'DS', region: 'of-default' });
  const p = { 'access-key': 'P', 'secret-key': 'PS', 'security-token': 'PT', endpoint: 'http://of-services', ca: '/home/me/ca' };
  assert.deepEqual(await found({}, 'p', { AWS_REGION: 'of-variable' }), { ...p, region: 'of-p' });
  assert.deepEqual(await found({}, undefined, { AWS_PROFILE: 'p', AWS_REGION: 'of-variable' }), { ...p, region: 'of-variable' });
  const variables = { AWS_ACCESS_KEY_ID: 'V', AWS_SECRET_ACCESS_KEY: 'VS', AWS_ENDPOINT_URL: 'http://v' };
  assert.deepEqual(await found({}, undefined, variables), { 'access-key': 'V', 'secret-key': 'VS', endpoint: 'http://v' });
  const own = { 'access-key': 'O', 'secret-key': 'OS', region: 'r', endpoint: 'e' };
  assert.deepEqual(await found(own, undefined, { ...variables, AWS_PROFILE: 'p' }), own);
  assert.deepEqual(await found({}, undefined, { ...NONE }), {});
  assert.equal((await found(own, 'p', { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' })).endpoint, 'e');
  for (const [profile, environment, says] of [
    ['half', {}, /"half" has aws_access_key_id but no aws_secret_access_key/],
    ['sso', {}, /sso_session/],
    ['none', {}, /there is no profile "none".*there are default, half, p, sso/],
    [undefined, { AWS_PROFILE: 'none' }, /AWS_PROFILE: there is no profile/],
    [undefined, { AWS_ACCESS_KEY_ID: 'V' }, /AWS_SECRET_ACCESS_KEY is not/],
    [undefined, { ...NONE, AWS_SESSION_TOKEN: 'V' }, /AWS_SESSION_TOKEN is set/],
    [undefined, { ...NONE, AWS_CONFIG_FILE: '/no/such' }, /there is no file \/no\/such/],
  ]) {
    await assert.rejects(found({}, profile, environment), says);
  }
});
