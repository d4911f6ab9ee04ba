// Sends the requests of a store over node:http and node:https, and reads their responses.
//
// One sender has one store's connections, TLS settings and egress policy. The authority of each request is checked, and the address of
// each connection when it is made.

import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { setImmediate } from 'node:timers';
import { setImmediate as yieldToEventLoop } from 'node:timers/promises';
import { SourceFault } from './body.js';
import { checkRequest } from './rules.js';
import { shown } from './text.js';
import { startTimer } from './timer.js';

/** Bytes of a response's header. */
const MAX_RESPONSE_HEADER = 64 << 10;
/** Bytes of the body of a response that is no success, and milliseconds that it may take: its status is already known. */
const ERROR_BODY = 64 << 10;
const ERROR_BODY_TIME = 5_000;
/** Bytes of the body of a success that the plugin may ask for, which asks for up to 4 GiB. */
const MAX_BUFFERED = 16 << 20;
/** Bytes of a request's body that are written at once: progress shows in steps of this size. */
const WRITE_SIZE = 64 << 10;
/** Bytes after which the event loop runs: the connection often takes writes at once, without a pass of the event loop. */
const YIELD_SIZE = 256 << 10;
/** Idle connections that are kept, and milliseconds for which they are. */
const MAX_IDLE = 64;
const IDLE_TIME = 30_000;
/** Milliseconds for the rest of a response that is complete for its reader, until its connection is closed instead of kept. */
const END_TIME = 1_000;
/** Milliseconds for each address of a name that has several: Node's own default of 250 is less than some services take. */
const ADDRESS_TIME = 3_000;

const PROHIBITED = 'ESANDBUCKETPROHIBITED';

/** A failure of an exchange, by its name in the contract. */
class TransportFailure extends Error {
  constructor(error, detail) {
    super(detail);
    this.error = error;
  }
}

/** The transport error of a connection that was not made. No byte of the request was sent. */
function connectFailure(error, secure) {
  const detail = error.message || error.code;
  if (error instanceof TransportFailure) return error;
  const code = String(error.code);
  const named = {
    ECONNREFUSED: 'connection-refused',
    ETIMEDOUT: 'connection-timeout',
    ERR_SOCKET_CONNECTION_TIMEOUT: 'connection-timeout',
    [PROHIBITED]: 'destination-ip-prohibited',
  }[code];
  if (named) return new TransportFailure(named, detail);
  if (code === 'ENOTFOUND' || code === 'ENODATA' || code.startsWith('EAI_')) return new TransportFailure('dns-error', detail);
  if (['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'EHOSTDOWN', 'ENETDOWN'].includes(code)) {
    return new TransportFailure('destination-unavailable', detail);
  }
  if (secure) {
    // OpenSSL's verification results, and Node's own check of the name.
    if (/CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|CRL|INVALID_PURPOSE|HOSTNAME_MISMATCH/.test(code)) {
      return new TransportFailure('tls-certificate-error', detail);
    }
    if (code === 'EPROTO' || code.startsWith('ERR_SSL') || code.startsWith('ERR_TLS')) {
      return new TransportFailure('tls-protocol-error', detail);
    }
  }
  return new TransportFailure('connection-terminated', detail);
}

/** The transport error of a connection that broke before a response. */
function sentFailure(error) {
  if (error instanceof TransportFailure) return error;
  const code = String(error.code);
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new TransportFailure('http-response-header-section-size', `the response's header has more than ${MAX_RESPONSE_HEADER} bytes`);
  }
  if (code.startsWith('HPE_')) return new TransportFailure('http-protocol-error', `the response is not HTTP: ${shown(error.message)}`);
  return new TransportFailure('connection-terminated', `the connection broke: ${error.message}`);
}

/** The fields of a response, one to a line; bytes that are not UTF-8 are replaced. */
function lines(rawHeaders) {
  let text = '';
  for (let at = 0; at < rawHeaders.length; at += 2) {
    // node:http makes a character of each byte.
    const value = rawHeaders[at + 1];
    text += `${rawHeaders[at].toLowerCase()}:${/[\u0080-\u00ff]/.test(value) ? Buffer.from(value, 'latin1').toString() : value}\n`;
  }
  return text;
}

/** The body of a response, with a limit on silence. */
export class ResponseBody {
  #response;
  #iterator;
  #timeout;

  constructor(response, timeout) {
    this.#response = response;
    this.#iterator = response[Symbol.asyncIterator]();
    this.#timeout = timeout;
    // A break shows in the next read.
    response.on('error', () => {});
  }

  /** The next piece; undefined at the end. The time between two calls does not count. */
  async next() {
    let waiting = true;
    const silent = () => {
      if (!waiting) return;
      this.#response.destroy(
        new TransportFailure('connection-read-timeout', `nothing more of the response came for ${this.#timeout} ms`),
      );
    };
    // After a busy event loop, what arrived meanwhile comes first.
    const timer = startTimer(this.#timeout, () => setImmediate(silent));
    try {
      const { done, value } = await this.#iterator.next();
      return done ? undefined : value;
    } catch (error) {
      if (error instanceof TransportFailure) throw error;
      throw new TransportFailure('http-response-incomplete', `the connection broke in the middle of the response: ${error.message}`);
    } finally {
      waiting = false;
      clearTimeout(timer);
    }
  }

  /** Whether more bytes have arrived than were read. */
  hasMore() {
    return this.#response.readableLength > 0;
  }

  /** Closes the connection, whatever is left of the response. */
  destroy() {
    this.#response.destroy();
  }

  /** Keeps the connection if nothing is left of the response, and closes it otherwise. */
  finish() {
    const response = this.#response;
    if (response.readableEnded || response.destroyed) return;
    const timer = startTimer(END_TIME, () => response.destroy());
    timer.unref();
    this.#iterator.next().then(({ done }) => done || response.destroy(), () => {}).finally(() => clearTimeout(timer));
  }
}

/** Sends the requests of one store. */
export class Sender {
  #egress;
  #policy;
  #tls;
  #agents;
  #closed = false;

  /**
   * @param {{ egress: import('./egress.js').Egress, policy: import('./ip-policy.js').IpPolicy,
   *   tls: { ca?: Buffer, allowInvalidCerts?: boolean } }} options
   */
  constructor({ egress, policy, tls = {} }) {
    this.#egress = egress;
    this.#policy = policy;
    this.#tls = { ca: tls.ca, rejectUnauthorized: !tls.allowInvalidCerts, minVersion: 'TLSv1.2' };
    const options = { keepAlive: true, maxFreeSockets: MAX_IDLE, scheduling: 'lifo', timeout: IDLE_TIME };
    this.#agents = { false: new http.Agent(options), true: new https.Agent({ ...options, ...this.#tls }) };
  }

  /** Closes all connections, and sends nothing more. */
  close() {
    this.#closed = true;
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  /**
   * Runs an exchange.
   * @param {object} exchange of the contract
   * @param {{ methods: string[], callersBody?: import('./body.js').Bytes | import('./body.js').Once, left: number,
   *   timeout: number, signal?: AbortSignal }} context `left` and `timeout` are milliseconds; `left` does not count the time in
   *   which the caller's body is sent
   * @returns {Promise<{ event: object, body?: ResponseBody, sending: number, cause?: Error }>}
   * @throws the signal's reason, or the SourceFault of the caller's body
   */
  async send(exchange, context) {
    const { request, body } = exchange;
    const pieces = body.tag === 'none' ? [] : body.tag === 'bytes' ? [body.val] : context.callersBody;
    const length = body.tag === 'none' ? 0 : body.tag === 'bytes' ? body.val.length : context.callersBody.length;
    const denied = (detail) => failed(new TransportFailure('http-request-denied', detail));
    if (this.#closed) return denied('the store is closed');
    const checked = checkRequest(request, context.methods, length);
    if (checked.refused) return denied(checked.refused);
    const place = this.#egress.check(request.https, request.authority);
    if (place.refused) return denied(place.refused);
    // Of a name, the addresses are checked when it is resolved.
    if (isIP(place.host)) {
      const refusal = this.#policy.refuses(place.host);
      if (refusal) return failed(this.#prohibited(place.host, [[place.host, refusal]]));
    }
    const options = {
      method: request.method.toUpperCase(),
      host: place.host,
      port: place.port,
      path: request.pathWithQuery,
      headers: checked.headers,
      setHost: false,
      maxHeaderSize: MAX_RESPONSE_HEADER,
      autoSelectFamilyAttemptTimeout: ADDRESS_TIME,
      lookup: (name, given, callback) => this.#lookup(name, given, callback),
      servername: isIP(place.host) ? '' : place.host,
      ...(request.https ? this.#tls : {}),
    };
    const attempt = (fresh) => new Attempt(this.#request(request.https, options, fresh), exchange, context).run(pieces, length);
    const result = await attempt(exchange.freshConnection);
    // An idle connection that the service closed at the moment of use. The plugin knows which other requests may be repeated.
    if (result.stale && (request.method === 'get' || request.method === 'head')) {
      this.#evictIdle(request.https);
      return attempt(true);
    }
    return result;
  }

  #request(secure, options, fresh) {
    const client = secure ? https : http;
    // An agent of its own has no idle connections.
    const agent = fresh ? new client.Agent({ keepAlive: false, ...(secure ? this.#tls : {}) }) : this.#agents[secure];
    const request = client.request({ ...options, agent });
    // Its size is bounded, so that no field need be dropped.
    request.maxHeadersCount = 0;
    return request;
  }

  /** Connections that became idle before one that was dead are dead as well. */
  #evictIdle(secure) {
    for (const sockets of Object.values(this.#agents[secure].freeSockets)) sockets.forEach((socket) => socket.destroy());
  }

  #prohibited(name, refused) {
    const [[address, { kind, never }]] = refused;
    const where = name === address ? address : `${shown(name)} leads to ${address}, which`;
    const hint = never ? 'no store may reach it' : 'a store may reach it only if allowPrivate permits it';
    return new TransportFailure('destination-ip-prohibited', `${where} is ${kind}, and ${hint}`);
  }

  /** dns.lookup, of which only the addresses remain that the policy allows. */
  #lookup(name, options, callback) {
    dns.lookup(name, { ...options, all: true, verbatim: true }, (error, found) => {
      if (error) return callback(error);
      const refused = [];
      const allowed = found.filter(({ address }) => {
        const refusal = this.#policy.refuses(address);
        if (refusal) refused.push([address, refusal]);
        return !refusal;
      });
      if (allowed.length === 0 && refused.length > 0) {
        return callback(Object.assign(new Error(this.#prohibited(name, refused).message), { code: PROHIBITED }));
      }
      if (options.all) return callback(null, allowed);
      return callback(null, allowed[0].address, allowed[0].family);
    });
  }
}

/** The result of an exchange without a response. */
const failed = (failure, more = {}) => ({
  event: { tag: 'failed', val: { error: failure.error, detail: failure.message } },
  cause: failure,
  sending: 0,
  ...more,
});

/** One request on one connection. */
class Attempt {
  #request;
  #exchange;
  #context;
  #connected = false;
  #connectedAt = 0;
  #sent = false;
  #sending = 0;
  #response;
  #timer;
  #deadline;
  #settle;
  #over = false;

  constructor(request, exchange, context) {
    this.#request = request;
    this.#exchange = exchange;
    this.#context = context;
  }

  /** Sends the request with these pieces, of this length in total, as its body, and waits for the response. */
  run(pieces, length) {
    const request = this.#request;
    const { signal, left } = this.#context;
    const isCallers = this.#exchange.body.tag === 'caller';
    return new Promise((resolve, reject) => {
      const aborted = () => {
        this.#end(() => reject(signal.reason));
        request.destroy();
      };
      this.#settle = { resolve, reject, aborted };
      // Before anything can destroy the request, which has an error then.
      request.on('error', (error) => this.#failed(error));
      // A connection that closes after the request is destroyed by others has no error of its own.
      request.on('close', () => this.#failed(new Error('it was closed')));
      if (signal?.aborted) return aborted();
      signal?.addEventListener('abort', aborted, { once: true });
      if (!isCallers) this.#arm(left);
      this.#phase('connection-timeout', 'no connection');
      request.on('response', (response) => this.#respond(response));
      request.once('socket', (socket) => {
        const connected = () => {
          if (this.#over) return;
          this.#connected = true;
          this.#connectedAt = performance.now();
          this.#write(pieces, length, isCallers).catch((error) => {
            if (error instanceof SourceFault) {
              this.#end(() => reject(error));
              request.destroy();
            } else {
              request.destroy(error);
            }
          });
        };
        if (request.reusedSocket) connected();
        else socket.once(socket.encrypted ? 'secureConnect' : 'connect', connected);
      });
    });
  }

  /** The deadline of the operation, which ends the request in flight. */
  #arm(left) {
    this.#deadline = startTimer(left, () => {
      const failure = new TransportFailure('http-response-timeout', 'the time limit of the call has passed');
      (this.#response ?? this.#request).destroy(failure);
    });
  }

  /** Begins a phase in which something must happen within the exchange's timeout. */
  #phase(error, what) {
    this.#rest();
    const { timeout } = this.#context;
    const timer = startTimer(timeout, () => {
      // After a busy event loop, what arrived meanwhile comes first.
      setImmediate(() => {
        if (this.#timer === timer && !this.#over && !this.#response) {
          this.#request.destroy(new TransportFailure(error, `${what} within ${timeout} ms`));
        }
      });
    });
    this.#timer = timer;
  }

  /** Waits for nothing. */
  #rest() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  async #write(pieces, length, isCallers) {
    const request = this.#request;
    const progress = () => this.#phase('connection-write-timeout', 'the service read nothing of the request');
    progress();
    let [left, sinceYield] = [length, 0];
    for await (const whole of pieces) {
      for (let at = 0; at < whole.length; at += WRITE_SIZE) {
        const size = Math.min(WRITE_SIZE, whole.length - at);
        // Before the last piece as well: a response that has arrived by then came before the whole request was sent.
        if (left < length && (sinceYield >= YIELD_SIZE || size >= left)) {
          await yieldToEventLoop();
          sinceYield = 0;
        }
        left -= size;
        sinceYield += size;
        // An error response may come early: then nothing more is sent.
        if (this.#response || this.#over) return;
        await new Promise((resolve, reject) => {
          request.write(whole.subarray(at, at + WRITE_SIZE), (error) => (error ? reject(error) : resolve()));
        });
        if (!this.#response && !this.#over) progress();
      }
      // How long a source takes for its next piece is the caller's matter.
      if (isCallers) this.#rest();
    }
    if (this.#response || this.#over) return;
    progress();
    await new Promise((resolve) => request.end(resolve));
    if (this.#response || this.#over) return;
    this.#sent = true;
    if (isCallers) {
      this.#sending = performance.now() - this.#connectedAt;
      this.#arm(this.#context.left);
    }
    this.#phase('http-response-timeout', 'no response');
  }

  /** Ends waiting, and runs `how` once. */
  #end(how) {
    if (this.#over) return;
    this.#over = true;
    this.#rest();
    clearTimeout(this.#deadline);
    this.#context.signal?.removeEventListener('abort', this.#settle.aborted);
    how();
  }

  #failed(error) {
    if (this.#response) return;
    const failure = this.#connected ? sentFailure(error) : connectFailure(error, this.#request.protocol === 'https:');
    const stale = this.#request.reusedSocket && failure.error === 'connection-terminated';
    this.#end(() => this.#settle.resolve(failed(failure, { sending: this.#sending, stale })));
  }

  #respond(response) {
    const success = response.statusCode >= 200 && response.statusCode < 300;
    // `finish` of the request may be reported after the response.
    if (success && !this.#sent && !this.#request.writableFinished) {
      this.#request.destroy(new TransportFailure('connection-terminated', 'a success came before the whole request was sent'));
      return;
    }
    this.#response = response;
    this.#rest();
    if (this.#exchange.body.tag === 'caller' && this.#sending === 0) this.#sending = performance.now() - this.#connectedAt;
    const received = this.#receive(response, success).finally(() => {
      // The rest of a request whose response came early is not sent, so its connection cannot be kept.
      if (!this.#sent && !this.#request.writableFinished) this.#request.destroy();
    });
    received.then(
      (result) => this.#end(() => this.#settle.resolve({ sending: this.#sending, ...result })),
      (error) => this.#end(() => this.#settle.reject(error)),
    );
  }

  async #receive(response, success) {
    const { request: { method }, responseBody } = this.#exchange;
    const status = response.statusCode;
    const answer = (bytes, truncated, more = {}) => ({
      event: { tag: 'response', val: { status, headers: lines(response.rawHeaders), body: bytes, truncated } },
      ...more,
    });
    const body = new ResponseBody(response, this.#context.timeout);
    const none = new Uint8Array();
    if (method === 'head' || status === 204 || status === 304) {
      body.finish();
      return answer(none, false, success && responseBody.tag === 'caller' ? { body } : {});
    }
    if (success && responseBody.tag === 'caller') return answer(none, false, { body });
    const limit = success ? Math.min(responseBody.val, MAX_BUFFERED) : ERROR_BODY;
    const timer = success ? undefined : startTimer(ERROR_BODY_TIME, () => response.destroy());
    const pieces = [];
    let [length, truncated] = [0, false];
    try {
      for (let piece; length <= limit && (piece = await body.next()) !== undefined; ) {
        pieces.push(piece);
        length += piece.length;
      }
      truncated = length > limit;
    } catch (failure) {
      // A broken body of any other response is passed on as far as it came: its status is what counts.
      if (success && length < limit) return failed(failure);
      truncated = true;
    } finally {
      clearTimeout(timer);
    }
    if (truncated) body.destroy();
    return answer(Buffer.concat(pieces, length).subarray(0, limit), truncated);
  }
}
