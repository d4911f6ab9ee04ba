// The plugin's imports: clocks. wasi:http and wasi:io are there, because the component imports them for hosts without a driver, and
// refuse everything: a step sends nothing.

const MILLISECOND = 1_000_000n;

function denied() {
  throw new Error('the plugin may not do I/O itself');
}

/** A resource class of which no instance can be made. */
const unavailable = () =>
  class {
    constructor() {
      denied();
    }
  };

/** The import object of an instance. */
export function imports() {
  const wasi = {
    'wasi:clocks/monotonic-clock': { now: () => process.hrtime.bigint(), subscribeDuration: denied },
    'wasi:clocks/wall-clock': {
      now() {
        const now = BigInt(Date.now());
        return { seconds: now / 1000n, nanoseconds: Number((now % 1000n) * MILLISECOND) };
      },
    },
    'wasi:http/outgoing-handler': { handle: denied },
    'wasi:http/types': { httpErrorCode: denied },
    'wasi:io/error': { Error: unavailable() },
    'wasi:io/poll': { Pollable: unavailable(), poll: denied },
    'wasi:io/streams': { InputStream: unavailable(), OutputStream: unavailable() },
  };
  for (const name of [
    'Fields', 'FutureIncomingResponse', 'IncomingBody', 'IncomingResponse', 'OutgoingBody', 'OutgoingRequest', 'RequestOptions',
  ]) {
    wasi['wasi:http/types'][name] = unavailable();
  }
  return wasi;
}
