// The driver: runs an operation of the contract to its end. The plugin makes each request and interprets each response; the driver
// sends it. The retry policy is the plugin's; the driver bounds it by requests per operation, pauses, the store's retry quota and
// the operation's deadline.

import { Batcher } from './batch.js';
import { SourceFault } from './body.js';
import { SandbucketError, broken, ofPlugin } from './error.js';
import { Permits } from './permits.js';
import { RetryQuota } from './retry-quota.js';
import { describe } from './rules.js';
import { milliseconds, sleep } from './timer.js';
import { validateOutput } from './validate.js';

/** Milliseconds of the pause that is forced before each request beyond those that are free: doubling up to the second. */
const MIN_BACKOFF = 10;
const MAX_BACKOFF = 1_000;
/** Requests that an operation may still ask for when its time is over, such as to determine the outcome of a write. */
const LATE_REQUESTS = 4;

const OUT_OF_RETRIES =
  'not tried again: so many requests of this store failed lately that its retry quota is used up';

export class Driver {
  #begins;
  #resumes;
  #sender;
  #limits;
  #quota;
  #permits;

  constructor({ instances, sender, limits }) {
    this.#begins = new Batcher(instances, 'begin');
    this.#resumes = new Batcher(instances, 'resume');
    this.#sender = sender;
    this.#limits = limits;
    this.#quota = new RetryQuota(limits.concurrency);
    this.#permits = new Permits(limits.concurrency);
    this.instances = instances;
  }

  /**
   * Runs an operation: its validated output and, of a get, the body of the response.
   * @param {{ tag: string, val: object }} operation
   * @param {{ body?: import('./body.js').Bytes | import('./body.js').Once, timeLimit?: number, signal?: AbortSignal }} context
   */
  async run(operation, { body, timeLimit, signal } = {}) {
    const bounds = describe(operation);
    const limit = Math.min(timeLimit ?? this.#limits.callTime, this.#limits.callTime);
    const release = await this.#permits.acquire(bounds.name, limit, signal);
    try {
      return await new Running(this, operation, bounds, { body, limit, signal }).run();
    } catch (error) {
      throw error instanceof SourceFault ? error.error : error;
    } finally {
      release();
    }
  }

  begin(operation) {
    return this.#begins.run(operation);
  }

  resume(resumption) {
    return this.#resumes.run(resumption);
  }

  send(exchange, context) {
    const timeout = Math.min(milliseconds(exchange.timeout), this.#limits.timeout);
    return this.#sender.send(exchange, { ...context, timeout });
  }

  takeRetry(error) {
    return this.#quota.take(error.kind);
  }

  succeeded(taken) {
    this.#quota.succeeded(taken);
  }
}

/** An operation in flight. */
class Running {
  #driver;
  #operation;
  #bounds;
  #body;
  #limit;
  #signal;
  #began = performance.now();
  /** Milliseconds spent sending bodies of the caller; excluded from the deadline. */
  #sending = 0;
  #sent = 0;
  #late = 0;
  /** Whether a request was sent that can change something. */
  #wrote = false;
  #taken = 0;
  /** Why the last request had no response. */
  #cause;

  constructor(driver, operation, bounds, { body, limit, signal }) {
    this.#driver = driver;
    this.#operation = operation;
    this.#bounds = bounds;
    this.#body = body;
    this.#limit = limit;
    this.#signal = signal;
  }

  #elapsed() {
    return Math.max(performance.now() - this.#began - this.#sending, 0);
  }

  #left() {
    return Math.max(this.#limit - this.#elapsed(), 0);
  }

  #violation(what) {
    this.#driver.instances.discard();
    return broken(`${this.#bounds.name}: ${what}`);
  }

  async run() {
    let next = await this.#step(this.#driver.begin(this.#operation));
    let unread;
    try {
      for (;;) {
        this.#signal?.throwIfAborted();
        switch (next.tag) {
          case 'failed':
            throw ofPlugin(next.val, this.#cause);
          case 'done': {
            const output = this.#validate(next.val, unread);
            this.#driver.succeeded(this.#taken);
            const body = unread;
            unread = undefined;
            return { output, body };
          }
          case 'send': {
            const exchange = next.val;
            unread?.destroy();
            unread = undefined;
            const result = await this.#exchange(exchange);
            unread = result.body;
            const elapsed = BigInt(Math.round(this.#elapsed() * 1e6));
            next = await this.#step(this.#driver.resume({ state: exchange.state, elapsed, event: result.event }));
            break;
          }
          default:
            throw this.#violation('it returned no step of the contract');
        }
      }
    } finally {
      unread?.destroy();
    }
  }

  /** A step, whose failure names the operation, and that a write may have taken effect. */
  async #step(step) {
    try {
      return await step;
    } catch (error) {
      if (error.kind !== 'plugin') throw error;
      const write = this.#wrote ? '; a write may or may not have taken effect' : '';
      throw broken(`${this.#bounds.name}: ${error.message.replace(/^plugin: /, '')}${write}`, error.cause);
    }
  }

  #validate(output, unread) {
    if (output.tag !== this.#operation.tag) throw this.#violation('it returned the output of another operation');
    if (output.tag === 'get' && !unread) throw this.#violation('it is done, and there is no body to read');
    try {
      return validateOutput(output, this.#operation);
    } catch (error) {
      if (error instanceof SandbucketError && error.kind === 'plugin') this.#driver.instances.discard();
      throw error;
    }
  }

  /** Sends a request, after its delay. */
  async #exchange(exchange) {
    const isCallers = exchange.body.tag === 'caller';
    if (isCallers && !this.#bounds.hasBody) throw this.#violation('it sends a body, and the operation has none');
    if (exchange.responseBody.tag === 'caller' && this.#operation.tag !== 'get') {
      throw this.#violation('it leaves a body unread, and the operation has none');
    }
    const { state, body, request } = exchange;
    const bytes = state.length + (body.tag === 'bytes' ? body.val.length : 0) + request.headers.length + request.pathWithQuery.length;
    if (bytes > this.#bounds.maxBytes) throw this.#violation(`it made a request and a state of ${bytes} bytes, and ${this.#bounds.maxBytes} are allowed`);
    this.#admit(exchange, isCallers && this.#body.consumed === true);
    const further = this.#sent - this.#bounds.freeRequests;
    const least = further < 0 ? 0 : Math.min(MIN_BACKOFF * 2 ** Math.min(further, 16), MAX_BACKOFF);
    const delay = Math.max(milliseconds(exchange.delay), least);
    if (exchange.retries && delay >= this.#left()) throw ofPlugin(exchange.retries, this.#cause);
    if (delay > 0) await this.#sleep(Math.min(delay, this.#left()));
    this.#sent += 1;
    this.#cause = undefined;
    const left = this.#left();
    if (left <= 0) {
      const detail = 'there was no time left to send the request';
      return { event: { tag: 'failed', val: { error: 'http-response-timeout', detail } } };
    }
    const result = await this.#driver.send(exchange, {
      methods: this.#bounds.methods,
      callersBody: isCallers ? this.#body : undefined,
      left,
      signal: this.#signal,
    });
    if (isCallers) this.#sending += result.sending;
    this.#wrote ||= exchange.request.method !== 'get' && exchange.request.method !== 'head';
    this.#cause = result.cause;
    return result;
  }

  async #sleep(delay) {
    try {
      await sleep(delay, this.#signal);
    } catch {
      this.#signal.throwIfAborted();
    }
  }

  /** Throws if the operation may send no further request: the error that a retry is about, or that the plugin asks too much. */
  #admit({ retries }, isConsumed) {
    const { name, maxRequests } = this.#bounds;
    const tooMany = this.#sent >= maxRequests;
    const isLate = this.#sent > 0 && this.#left() <= 0;
    if (retries) {
      const error = () => ofPlugin(retries, this.#cause);
      if (tooMany || isLate || isConsumed) throw error();
      this.#taken = this.#driver.takeRetry(retries);
      if (this.#taken === 0) throw ofPlugin({ ...retries, message: `${retries.message} (${OUT_OF_RETRIES})` }, this.#cause);
      return;
    }
    if (isConsumed) throw this.#violation('it sends a body again that can be read once');
    if (tooMany) throw this.#violation(`it sent ${maxRequests} requests for one operation already`);
    if (isLate && (this.#late += 1) > LATE_REQUESTS) {
      const message = `${name}: the call was stopped after ${this.#limit} ms; a write may or may not have taken effect`;
      throw new SandbucketError('timeout', message);
    }
  }
}
