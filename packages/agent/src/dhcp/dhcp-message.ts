/** A DHCP message (RFC 2131) as far as a server of fixed addresses reads and writes it. Numbers are in host order, addresses in dotted form. */
export type DhcpMessage = {
  readonly op: 'request' | 'reply';
  readonly transactionId: number;
  readonly seconds: number;
  readonly broadcast: boolean;
  readonly clientAddress: string;
  readonly yourAddress: string;
  /** Colons, lower case. */
  readonly mac: string;
  /** By code, the pad and end options left out; parts of one option that was split are joined (RFC 3396). */
  readonly options: ReadonlyMap<number, Buffer>;
};

/** Codes of RFC 2132. */
export const dhcpOption = {
  subnetMask: 1,
  router: 3,
  nameservers: 6,
  hostname: 12,
  mtu: 26,
  broadcastAddress: 28,
  requestedAddress: 50,
  leaseSeconds: 51,
  messageType: 53,
  serverId: 54,
} as const;

export const dhcpType = { discover: 1, offer: 2, request: 3, decline: 4, ack: 5, nak: 6, release: 7, inform: 8 } as const;

const cookie = 0x63_82_53_63;
const fixedBytes = 236;
/** Older clients and relays drop what is shorter (RFC 1542). */
const leastBytes = 300;
const ethernet = 1;
const pad = 0;
const end = 255;

/** The message in a datagram, or null for what is none. Never throws; reads nothing beyond the datagram. */
export function readDhcp(datagram: Buffer): DhcpMessage | null {
  if (datagram.length < fixedBytes + 4 || datagram.readUInt32BE(fixedBytes) !== cookie) return null;
  const op = datagram[0];
  if ((op !== 1 && op !== 2) || datagram[1] !== ethernet || datagram[2] !== 6) return null;
  const options = new Map<number, Buffer>();
  for (let at = fixedBytes + 4; at < datagram.length; ) {
    const code = datagram[at] ?? end;
    if (code === end) break;
    if (code === pad) {
      at += 1;
      continue;
    }
    const length = datagram[at + 1];
    if (length === undefined || at + 2 + length > datagram.length) return null;
    const value = datagram.subarray(at + 2, at + 2 + length);
    const before = options.get(code);
    options.set(code, before === undefined ? value : Buffer.concat([before, value]));
    at += 2 + length;
  }
  return {
    op: op === 1 ? 'request' : 'reply',
    transactionId: datagram.readUInt32BE(4),
    seconds: datagram.readUInt16BE(8),
    broadcast: (datagram.readUInt16BE(10) & 0x8000) !== 0,
    clientAddress: addressAt(datagram, 12),
    yourAddress: addressAt(datagram, 16),
    mac: [...datagram.subarray(28, 34)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    options,
  };
}

/** Throws RangeError for an option of more than 255 bytes. */
export function writeDhcp(message: DhcpMessage): Buffer {
  const head = Buffer.alloc(fixedBytes + 4);
  head[0] = message.op === 'request' ? 1 : 2;
  head[1] = ethernet;
  head[2] = 6;
  head.writeUInt32BE(message.transactionId, 4);
  head.writeUInt16BE(message.seconds, 8);
  head.writeUInt16BE(message.broadcast ? 0x8000 : 0, 10);
  addressBytes(message.clientAddress).copy(head, 12);
  addressBytes(message.yourAddress).copy(head, 16);
  Buffer.from(message.mac.replaceAll(':', ''), 'hex').copy(head, 28);
  head.writeUInt32BE(cookie, fixedBytes);
  const options = [...message.options].map(([code, value]) => {
    if (value.length > 255) throw new RangeError(`DHCP option ${code} has ${value.length} bytes`);
    return Buffer.concat([Buffer.from([code, value.length]), value]);
  });
  const all = Buffer.concat([head, ...options, Buffer.from([end])]);
  return all.length >= leastBytes ? all : Buffer.concat([all, Buffer.alloc(leastBytes - all.length)]);
}

export const addressBytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
export const addressAt = (bytes: Buffer, at: number): string => [...bytes.subarray(at, at + 4)].join('.');
