// The operations of the contract, and what a request that a plugin makes may look like.

import { sanitize } from './text.js';

/** Requests that one operation may send, and those that may follow one another as soon as the plugin likes. */
const MAX_REQUESTS = 128;
const FREE_REQUESTS = 4;

const READ = ['get', 'head'];
const WRITE = ['put', 'get', 'head'];
const POST = ['post', 'get', 'head'];

/** For each operation: its name for people, the methods of its requests, and whether it has a body of the caller's. */
const OPERATIONS = {
  head: ['head', ['head']],
  get: ['get', READ],
  put: ['put', WRITE, true],
  delete: ['delete', ['delete']],
  'delete-many': ['delete several blobs', ['post', 'delete']],
  list: ['list', READ],
  'list-versions': ['list versions', READ],
  copy: ['copy', WRITE],
  presign: ['presign', []],
  'get-tags': ['get tags', READ],
  'set-tags': ['set tags', ['put', 'delete']],
  'create-upload': ['begin an upload', POST],
  'upload-part': ['upload a part', WRITE, true],
  'copy-part': ['copy a part', WRITE],
  'list-parts': ['list parts', READ],
  'complete-upload': ['complete an upload', ['post', 'put', 'get', 'head']],
  'abort-upload': ['abort an upload', ['delete', 'get', 'put']],
  'list-uploads': ['list uploads', READ],
  'create-bucket': ['create a bucket', WRITE],
  'delete-bucket': ['delete a bucket', ['delete', 'get', 'head']],
  'bucket-exists': ['look for a bucket', READ],
  'list-buckets': ['list buckets', READ],
};

/** Requests of a listing of uploads, besides. */
const PER_UPLOADS = 50;

/** Bytes of a request and a state together; and further ones for each item of the input and each byte of its text. */
const STEP = 256 << 10;
const PER_ITEM = 1 << 10;
const PER_BYTE = 16;

/** The texts of an operation's input that its document and state contain. */
function input({ tag, val }) {
  if (tag === 'delete-many') return val.blobs.map(({ key, version = '' }) => key + version);
  if (tag === 'set-tags') return val.tags.map((pair) => pair.join(''));
  if (tag === 'complete-upload') return val.parts.map(({ etag, attributes }) => etag + attributes.flat().join(''));
  return [];
}

/** The bounds of an operation. */
export function describe(operation) {
  const { tag, val } = operation;
  const [name, methods, hasBody = false] = OPERATIONS[tag];
  // A bulk delete can fall back to one request for each blob; the Azure plugin requests the blocks of each key of a page of uploads.
  const further = tag === 'delete-many' ? val.blobs.length : tag === 'list-uploads' ? PER_UPLOADS : 0;
  const maxBytes = input(operation).reduce((sum, text) => sum + PER_ITEM + PER_BYTE * Buffer.byteLength(text), STEP);
  return { name, methods, hasBody, maxBytes, maxRequests: MAX_REQUESTS + further, freeRequests: FREE_REQUESTS + further };
}

/** Bytes of a request's header fields, of their number, and of its path and query. */
const MAX_HEADER = 64 << 10;
const MAX_FIELDS = 1024;
const MAX_PATH = 32 << 10;

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const COMMON = new Set(['accept', 'authorization', 'date', 'user-agent']);
const EXTENSIONS = ['x-amz-', 'x-ms-', 'x-goog-'];
const CONDITIONS = new Set(['if-match', 'if-modified-since', 'if-none-match', 'if-unmodified-since']);
const CONTENT = new Set([
  'cache-control', 'content-disposition', 'content-encoding', 'content-language', 'content-md5', 'content-type', 'expires',
]);

/** Whether a request of this method has a body. */
const hasBody = (method) => method === 'put' || method === 'post';

// Framing and routing of a message belong to the driver: a field that changes how a connection is used or where a message ends is
// in no list.
function isAllowedField(method, name) {
  return COMMON.has(name) || EXTENSIONS.some((prefix) => name.startsWith(prefix)) || CONDITIONS.has(name) ||
    (method === 'get' ? name === 'range' : hasBody(method) && CONTENT.has(name));
}

/**
 * The header of a request as node:http takes it, or `{ refused }`: the reason why it must not be sent.
 * @param {{ method: string, authority: string, pathWithQuery: string, headers: string }} request
 * @param {number} length of the body
 */
export function checkRequest({ method, authority, pathWithQuery, headers }, methods, length) {
  const refused = (what) => ({ refused: `the plugin built a request ${what}` });
  if (!methods.includes(method)) {
    const names = methods.length === 0 ? 'none' : methods.join(', ').toUpperCase();
    return refused(`with the method ${sanitize(method, 64).toUpperCase()}, and only ${names} is allowed here`);
  }
  if (headers.length > MAX_HEADER) return refused(`with a header of ${headers.length} bytes, and ${MAX_HEADER} are allowed`);
  if (pathWithQuery.length > MAX_PATH) {
    return refused(`with a path and query of ${pathWithQuery.length} bytes, and ${MAX_PATH} are allowed`);
  }
  if (!/^\/[\u0021-\u0022\u0024-\u007e]*$/.test(pathWithQuery)) return refused('with a path that HTTP does not have');
  if (!hasBody(method) && length > 0) return refused(`with the method ${method.toUpperCase()} and a body of ${length} bytes`);
  const raw = [];
  const seen = { host: [], 'content-length': [] };
  for (const line of headers.split('\n')) {
    if (line === '') continue;
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)];
    if (colon < 0 || !TOKEN.test(name) || /[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) {
      return refused('with a header that HTTP does not have');
    }
    if (name in seen) seen[name].push(value);
    else if (!isAllowedField(method, name)) return refused(`with the header ${sanitize(name, 64)}, which is not allowed here`);
    if (raw.length >= 2 * MAX_FIELDS) return refused(`with more than ${MAX_FIELDS} header fields`);
    // node:http writes each character of a value as a byte.
    raw.push(name, Buffer.from(value, 'utf8').toString('latin1'));
  }
  if (seen.host.length !== 1 || seen.host[0] !== authority) return refused('whose host is not its authority');
  const lengths = seen['content-length'];
  if (lengths.length === 0 && length === 0) {
    if (hasBody(method)) raw.push('content-length', '0');
  } else if (lengths.length !== 1 || lengths[0] !== String(length)) {
    return refused(`whose content-length is not that of its body, which has ${length} bytes`);
  }
  return { headers: raw };
}
