// Which addresses a connection may be made to: the rules of the Rust host (host/sandbucket/src/http/ip_policy.rs).
//
// An address is first compared with what no store may reach whatever its policy: link-local addresses, cloud metadata services,
// and every IPv6 form that has an IPv4 address in it, through which a policy on IPv4 addresses could be passed by. Only then does
// the policy count: public addresses, listed networks, or all private ones.

import { BlockList, isIP } from 'node:net';

const METADATA = "a cloud's metadata service";
const LINK_LOCAL = 'a link-local address';
const UNSPECIFIED = 'an unspecified address';
const MULTICAST = 'a multicast address';
const RESERVED = 'a reserved address';
const PRIVATE = 'a private address';

/** The four bytes of an IPv4 address. */
const bytes = (address) => address.split('.').map(Number);

/** The eight groups of an IPv6 address, which may have a zone. */
export function segments(address) {
  const [text] = address.split('%');
  const four = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain = four ? `${four[1]}${(four[2] * 256 + +four[3]).toString(16)}:${(four[4] * 256 + +four[5]).toString(16)}` : text;
  const [front, back] = plain.split('::').map((part) => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16))));
  if (back === undefined) return front;
  return [...front, ...Array(8 - front.length - back.length).fill(0), ...back];
}

function never4([a, b, c, d]) {
  const text = `${a}.${b}.${c}.${d}`;
  // AWS's, Google's and most others'; AWS's for containers; Alibaba's, Oracle's, and Azure's, which is a public one.
  if (['169.254.169.254', '169.254.170.2', '169.254.170.23', '100.100.100.200', '192.0.0.192', '168.63.129.16'].includes(text)) {
    return METADATA;
  }
  // Among them the metadata services of Scaleway and Tencent.
  if (a === 169 && b === 254) return LINK_LOCAL;
  if (a === 0) return UNSPECIFIED;
  if (a >= 224 && a <= 239) return MULTICAST;
  if (text === '255.255.255.255') return 'the broadcast address';
  return undefined;
}

function special4([a, b, c]) {
  if (a === 127) return 'a loopback address';
  if (a === 10 || (a === 172 && b >= 16 && b <= 31) || (a === 192 && b === 168)) return PRIVATE;
  if (a === 100 && b >= 64 && b <= 127) return "a carrier's private address";
  const reserved =
    (a === 192 && b === 0 && (c === 0 || c === 2)) ||
    (a === 192 && b === 88 && c === 99) ||
    (a === 198 && (b === 18 || b === 19)) ||
    (a === 198 && b === 51 && c === 100) ||
    (a === 203 && b === 0 && c === 113) ||
    a >= 240;
  return reserved ? RESERVED : undefined;
}

const isLoopback6 = (s) => s[7] === 1 && s.slice(0, 7).every((group) => group === 0);
const begins = (s, ...groups) => groups.every((group, at) => s[at] === group);

function never6(s) {
  if (s.every((group) => group === 0)) return UNSPECIFIED;
  if (isLoopback6(s)) return undefined;
  // AWS's, Google's, Scaleway's, Linode's; Oracle's and others with the IPv4 address's digits in a private one.
  if (begins(s, 0xfd00, 0xec2, 0, 0, 0, 0) || begins(s, 0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)) return METADATA;
  if (begins(s, 0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42) || begins(s, 0xfd00, 0xa9fe, 0xa9fe)) return METADATA;
  if (s[0] >= 0xfc00 && s[0] <= 0xfdff && s[6] === 0xa9fe && s[7] === 0xa9fe) return METADATA;
  if (s[0] >= 0xfe80 && s[0] <= 0xfebf) return LINK_LOCAL;
  if (s[0] >= 0xff00) return MULTICAST;
  if (begins(s, 0, 0, 0, 0, 0, 0xffff)) return 'an IPv4-mapped address';
  if (begins(s, 0, 0, 0, 0, 0xffff, 0)) return 'an IPv4-translated address';
  if (begins(s, 0, 0, 0, 0, 0, 0)) return 'an IPv4-compatible address';
  // Made by the name servers of networks without IPv4 (DNS64), so it cannot be refused altogether. It stands for public
  // addresses only (RFC 6052, section 3.1).
  if (begins(s, 0x64, 0xff9b, 0, 0, 0, 0)) {
    const four = [s[6] >> 8, s[6] & 0xff, s[7] >> 8, s[7] & 0xff];
    return never4(four) ?? special4(four) ? 'a NAT64 address of an IPv4 address that is not public' : undefined;
  }
  if (begins(s, 0x64, 0xff9b)) return 'a local NAT64 address';
  if (s[0] === 0x2002) return 'a 6to4 address';
  if (begins(s, 0x2001, 0)) return 'a Teredo address';
  // With any of the two bits that state whose identifier it is.
  if ((s[4] & ~0x0300) === 0 && s[5] === 0x5efe) return 'an ISATAP address';
  return undefined;
}

// IANA's registries of special-purpose addresses (RFC 6890).
function special6(s) {
  if (isLoopback6(s)) return 'a loopback address';
  if ((s[0] >= 0xfc00 && s[0] <= 0xfdff) || (s[0] >= 0xfec0 && s[0] <= 0xfeff)) return PRIVATE;
  // Decided by the address in it.
  if (begins(s, 0x64, 0xff9b, 0, 0, 0, 0)) return undefined;
  // Those of the IETF's protocols, and of documentation.
  if (s[0] === 0x2001 && (s[1] <= 0x1ff || s[1] === 0xdb8)) return RESERVED;
  if (s[0] === 0x3fff && s[1] <= 0xfff) return RESERVED;
  return s[0] >= 0x2000 && s[0] <= 0x3fff ? undefined : RESERVED;
}

const never = (address) => (isIP(address) === 4 ? never4(bytes(address)) : never6(segments(address)));
const special = (address) => (isIP(address) === 4 ? special4(bytes(address)) : special6(segments(address)));

/** Whether an endpoint at this address is in a private network: not public, and yet a place to connect to. */
export const isPrivate = (address) => never(address) === undefined && special(address) !== undefined;

/** The addresses that a store may reach. */
export class IpPolicy {
  #listed = new BlockList();
  #private;

  /** @param {{ allowPrivate?: boolean, allowNetworks?: string[] }} options */
  constructor({ allowPrivate = false, allowNetworks = [] } = {}) {
    this.#private = allowPrivate;
    for (const network of allowNetworks) {
      const [address, prefix, ...rest] = String(network).split('/');
      const family = isIP(address);
      if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix ?? '') || +prefix > (family === 4 ? 32 : 128)) {
        throw new TypeError(`allowNetworks: ${JSON.stringify(network)} is no network such as 10.20.0.0/24`);
      }
      this.#listed.addSubnet(address, Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** Why this address may not be connected to: `{ kind, never }`, or undefined where it may. */
  refuses(address) {
    const family = isIP(address);
    if (family === 0) return { kind: 'no address', never: true };
    const always = never(address);
    if (always !== undefined) return { kind: always, never: true };
    const kind = special(address);
    if (kind === undefined || this.#private) return undefined;
    return this.#listed.check(address.split('%')[0], family === 4 ? 'ipv4' : 'ipv6') ? undefined : { kind, never: false };
  }
}
