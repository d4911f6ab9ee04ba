// The services that the tests talk to: the dev server, moto, and the servers of the scenarios.

import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
// Cargo runs in the repository's folder.
export const TARGET = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');

export const SCENARIOS = join(root, 'tests/drivers/scenarios.json');
export const BUCKET = 'sandbucket-tests';

/** A program of the repository: the variable's, or the one of a debug build. */
function program(variable, name) {
  const path = process.env[variable] ?? join(TARGET, 'debug', name);
  if (existsSync(path)) return path;
  throw new Error(`${path} is missing: build it with \`cargo build --package ${name === 'sandbucket' ? 'sandbucket-cli' : 'sandbucket-faulty'}\`, or set ${variable}`);
}

export const sandbucket = () => program('SANDBUCKET_BIN', 'sandbucket');

/** A running program that prints lines of JSON. */
class Program {
  #child;
  #lines;

  constructor(command, args) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  say(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The next line. */
  async line() {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error(`${this.#child.spawnfile} has ended`);
    return value;
  }

  /** The next JSON document, which ends with a line that is `}` or the first line. */
  async json() {
    let text = '';
    for (;;) {
      text += `${await this.line()}\n`;
      try {
        return JSON.parse(text);
      } catch {
        if (text.length > 1 << 20) throw new Error(`no JSON: ${text.slice(0, 200)}`);
      }
    }
  }

  stop() {
    this.#child.kill();
  }
}

/** A dev server with the bucket of the tests: its settings, and `stop`. */
export async function devServer() {
  const running = new Program(sandbucket(), [
    'dev-server', '--json', '--listen', '127.0.0.1:0', '--bucket', BUCKET, '--access-key', 'tester', '--secret-key', 'a secret that must not show',
  ]);
  const started = await running.json();
  const settings = { endpoint: started.endpoint, bucket: BUCKET, accessKey: started['access-key'], secretKey: started['secret-key'] };
  return { settings, stop: () => running.stop() };
}

const run = promisify(execFile);

/** A Python with moto: that of the Rust tests, or one of its own. Returns undefined where there is no Python. */
async function python() {
  const requirements = join(root, 'tests/interop/requirements.txt');
  const wanted = readFileSync(requirements, 'utf8');
  const folder = join(TARGET, 'node-python');
  const [interpreter, done] = [join(folder, 'bin/python'), join(folder, 'installed')];
  if (existsSync(done) && readFileSync(done, 'utf8') === wanted) return interpreter;
  try {
    await run('python3', ['-c', 'import venv, ensurepip']);
  } catch {
    return undefined;
  }
  rmSync(folder, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', folder]);
  await run(interpreter, ['-m', 'pip', 'install', '--quiet', '--requirement', requirements]);
  // Written last, so that an incomplete environment is not used.
  writeFileSync(done, wanted);
  return interpreter;
}

/** moto with authentication: its settings, and `stop`; undefined where there is no Python with venv. */
export async function moto() {
  const interpreter = await python();
  if (interpreter === undefined) return undefined;
  const running = new Program(interpreter, [join(root, 'tests/interop/server.py'), BUCKET]);
  const started = await running.json();
  const settings = { endpoint: started.endpoint, bucket: BUCKET, accessKey: started.access_key, secretKey: started.secret_key };
  return { settings, stop: () => running.stop() };
}

/** The servers of all scenarios. */
export class Scenarios {
  #running;

  static async start() {
    const scenarios = new Scenarios();
    scenarios.#running = new Program(program('SANDBUCKET_SCENARIOS', 'sandbucket-scenarios'), [SCENARIOS]);
    scenarios.index = JSON.parse(await scenarios.#running.line());
    return scenarios;
  }

  /** What the server of a scenario saw that is not expected. */
  async mismatches(name) {
    this.#running.say(name);
    const report = JSON.parse(await this.#running.line());
    if (report.error) throw new Error(report.error);
    return report.mismatches;
  }

  stop() {
    this.#running.stop();
  }
}
