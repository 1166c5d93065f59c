/** One captured frame of a capture on the pseudo-interface "any" (link type LINUX_SLL2). */
export interface CapturedFrame {
  /** Kernel time of its arrival, ms since 1970 with sub-microsecond fraction. */
  readonly atMs: number;
  readonly interfaceIndex: number;
  readonly senderMac: string;
  /** From the network header on. */
  readonly packet: Buffer;
}

// https://www.tcpdump.org/manpages/pcap-savefile.5.html and https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
const fileHeaderBytes = 24;
const recordHeaderBytes = 16;
const sll2HeaderBytes = 20;
const magicMicroseconds = 0xa1b2c3d4;
const magicNanoseconds = 0xa1b23c4d;
const linkTypeSll2 = 276;

/** Cuts the bytes of a growing pcap file into frames; feed it chunks of any size. Throws on a file of another kind. */
export class PcapStream {
  #rest: Buffer = Buffer.alloc(0);
  #fractionsPerMs = 0;

  push(chunk: Buffer): readonly CapturedFrame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#fractionsPerMs === 0) {
      if (this.#rest.length < fileHeaderBytes) return [];
      this.#fractionsPerMs = fractionsPerMs(this.#rest);
      this.#rest = this.#rest.subarray(fileHeaderBytes);
    }
    const frames: CapturedFrame[] = [];
    while (this.#rest.length >= recordHeaderBytes) {
      const length = this.#rest.readUInt32LE(8);
      const end = recordHeaderBytes + length;
      if (this.#rest.length < end) break;
      const atMs = this.#rest.readUInt32LE(0) * 1000 + this.#rest.readUInt32LE(4) / this.#fractionsPerMs;
      if (length >= sll2HeaderBytes) {
        const frame = this.#rest.subarray(recordHeaderBytes, end);
        frames.push({
          atMs,
          interfaceIndex: frame.readInt32BE(4),
          senderMac: frame
            .subarray(12, 18)
            .toString('hex')
            .replace(/(..)(?=.)/g, '$1:'),
          packet: frame.subarray(sll2HeaderBytes),
        });
      }
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

function fractionsPerMs(header: Buffer): number {
  const magic = header.readUInt32LE(0);
  if (magic !== magicMicroseconds && magic !== magicNanoseconds)
    throw new Error(`not a little-endian pcap file: it begins with ${magic.toString(16)}`);
  const linkType = header.readUInt32LE(20) & 0xffff;
  if (linkType !== linkTypeSll2) throw new Error(`the capture has link type ${linkType}, not LINUX_SLL2`);
  return magic === magicNanoseconds ? 1e6 : 1e3;
}

/** The payload of a UDP datagram over IPv4; undefined for anything else, and for fragments. */
export function udpPayload(packet: Buffer): Buffer | undefined {
  if (packet.length < 28 || packet.readUInt8(0) >> 4 !== 4 || packet.readUInt8(9) !== 17) return undefined;
  if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
  const headerBytes = (packet.readUInt8(0) & 15) * 4;
  if (packet.length < headerBytes + 8) return undefined;
  const length = packet.readUInt16BE(headerBytes + 4);
  if (length < 8 || packet.length < headerBytes + length) return undefined;
  return packet.subarray(headerBytes + 8, headerBytes + length);
}
