// What a store may reach: its endpoint, and nothing else. The rules are those of the Rust host (host/sandbucket/src/http/egress.rs).

import { isIP } from 'node:net';
import { isPrivate } from './ip-policy.js';
import { shown } from './text.js';

const isLabel = (text) => /^[A-Za-z0-9-]+$/.test(text);
const defaultPort = (https) => (https ? 443 : 80);
const bare = (host) => (host.startsWith('[') ? host.slice(1, -1) : host);

/** A name that can only be meant for the network at hand. */
export function isLocalName(name) {
  const trimmed = name.replace(/\.+$/, '');
  const ends = (suffix) => trimmed.length > suffix.length && trimmed.endsWith(suffix);
  return !trimmed.includes('.') || ['.localhost', '.local', '.internal', '.lan', '.home.arpa'].some(ends);
}

/** The authority of a host, `host:port` or URL, and whether it is one of the network at hand; undefined if it is none. */
function parse(endpoint) {
  if (endpoint.includes('://') && !/^https?:\/\//i.test(endpoint)) return undefined;
  let url;
  try {
    url = new URL(endpoint.includes('://') ? endpoint : `https://${endpoint}`);
  } catch {
    return undefined;
  }
  if (url.hostname === '') return undefined;
  const https = url.protocol === 'https:';
  const host = url.hostname.toLowerCase();
  const local = isIP(bare(host)) ? isPrivate(bare(host)) : isLocalName(host);
  return { https, host, port: url.port === '' ? defaultPort(https) : Number(url.port), local };
}

const text = ({ https, host, port }) =>
  `${https ? 'https' : 'http'}://${host}${port === defaultPort(https) ? '' : `:${port}`}`;

/** What the hosts of AWS in this region end in; undefined where it cannot be a region. */
function domain(region) {
  if (!isLabel(region)) return undefined;
  return region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
}

/** The authorities that a store may send requests to. */
export class Egress {
  #allowed;

  /** @param {[string, string][]} settings */
  constructor(settings) {
    // The one thing that the host itself reads from the settings: a plugin cannot be asked what it should be kept from. Where
    // they make no sense nothing is allowed, and the plugin's error names what is wrong with them.
    const of = (name) => settings.find(([known, value]) => known === name && value.trim() !== '')?.[1].trim();
    const on = (name) => of(name)?.toLowerCase() === 'true';
    const region = () => of('region') ?? 'us-east-1';
    const flags = () => `${on('fips') ? '-fips' : ''}${on('dual-stack') ? '.dualstack' : ''}`;
    const within = (host, name) => domain(name) && `${host}.${name}.${domain(name)}`;
    const regional = () => within(`s3${flags()}`, region());
    let bucket = of('bucket');
    let endpoint = of('endpoint');
    const arn = endpoint === undefined && bucket?.startsWith('arn:') ? bucket : undefined;
    if (arn !== undefined) {
      const [, , , name, account, ...resource] = arn.split(':');
      const point = /^accesspoint[/:](.*)$/s.exec(resource.join(':'))?.[1];
      endpoint = point !== undefined && isLabel(point) && isLabel(account) && name !== undefined
        ? within(`${point}-${account}.s3-accesspoint${flags()}`, name)
        : undefined;
      bucket = undefined;
    } else if (endpoint === undefined) {
      endpoint = on('accelerate')
        ? domain(region()) && `s3-accelerate${on('dual-stack') ? '.dualstack' : ''}.${domain(region())}`
        : regional();
    }
    const authority = endpoint === undefined ? undefined : parse(endpoint);
    this.#allowed = authority === undefined ? [] : [authority];
    /** Whether the endpoint is itself a private address, or a name for the network at hand. */
    this.isLocal = authority?.local ?? false;
    if (authority === undefined) return;
    if (bucket !== undefined && !isIP(bare(authority.host))) {
      this.#allowed.push({ ...authority, host: `${bucket.toLowerCase()}.${authority.host}` });
    }
    // Operations on buckets go to the region's own host, which transfer acceleration does not know.
    if (of('endpoint') === undefined && on('accelerate') && arn === undefined) {
      const own = regional() && parse(regional());
      if (own) this.#allowed.push(own);
    }
  }

  /** The URLs that may be asked. */
  get authorities() {
    return this.#allowed.map(text);
  }

  /** Where a request leads to: `{ host, port }`; or `{ refused }`, the reason why it must not be sent. */
  check(https, authority) {
    // No user, and no port that is none: others could read it as something else.
    const parts = /^(\[[0-9A-Fa-f:.]+\]|[^\s\u0000-\u001f/?#@:\\[\]]+)(?::(\d{1,5}))?$/.exec(authority);
    const port = parts?.[2] === undefined ? defaultPort(https) : Number(parts[2]);
    if (parts && port <= 65535) {
      const host = parts[1].toLowerCase();
      if (this.#allowed.some((known) => known.https === https && known.host === host && known.port === port)) {
        return { host: bare(host), port };
      }
    }
    const asked = `${https ? 'https' : 'http'}://${shown(authority)}`;
    const may = this.#allowed.length === 0 ? 'nothing' : this.authorities.map(shown).join(' or ');
    return { refused: `the plugin asked for ${asked}, but this store may only reach ${may}` };
  }
}
