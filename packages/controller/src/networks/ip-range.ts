import { isIP } from 'node:net';

/** An address as a number with its version; 128 bits do not fit a JavaScript number. */
export type Address = { readonly version: 4 | 6; readonly value: bigint };
export type Cidr = { readonly version: 4 | 6; readonly network: bigint; readonly last: bigint; readonly prefixLength: number };

const bits = { 4: 32, 6: 128 } as const;

/** null for what is no address. */
export function parseAddress(text: string): Address | null {
  const version = isIP(text);
  if (version === 4) return { version: 4, value: text.split('.').reduce((value, part) => value * 256n + BigInt(part), 0n) };
  if (version !== 6 || text.includes('%')) return null;
  // An embedded IPv4 tail becomes two groups.
  const plain = text.replace(
    /(\d+)\.(\d+)\.(\d+)\.(\d+)$/,
    (_, a: string, b: string, c: string, d: string) =>
      `${(Number(a) * 256 + Number(b)).toString(16)}:${(Number(c) * 256 + Number(d)).toString(16)}`,
  );
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail ?? '')];
  const all = [...left, ...Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => '0'), ...right];
  return { version: 6, value: all.reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n) };
}

/** The address in a form that PostgreSQL and clients read; IPv6 without shortening is shortened by the database. */
export function formatAddress({ version, value }: Address): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  return Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 65_535n).toString(16)).join(':');
}

/** null for what is no network, also when bits behind the prefix are set. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? '');
  const prefixLength = Number(match?.[2]);
  if (address === null || prefixLength > bits[address.version]) return null;
  const size = 1n << BigInt(bits[address.version] - prefixLength);
  if (address.value % size !== 0n) return null;
  return { version: address.version, network: address.value, last: address.value + size - 1n, prefixLength };
}

/** First and last address that a host may have: without network and broadcast address where IPv4 has them, without the router anycast address of IPv6. */
export function usableRange(cidr: Cidr): { readonly first: bigint; readonly last: bigint } {
  const hostBits = bits[cidr.version] - cidr.prefixLength;
  if (hostBits <= 1) return { first: cidr.network, last: cidr.last };
  return { first: cidr.network + 1n, last: cidr.version === 4 ? cidr.last - 1n : cidr.last };
}
