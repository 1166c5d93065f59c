import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { NicSpec } from '@godwit/domain/guest-spec';
import type { AddressLease } from '@godwit/domain/network-policy';
import { ipBatch } from '../migration/ip-batch.ts';
import { alreadySo, tc } from '../migration/traffic-control.ts';
import type { NetworkTools } from '../network/network-tools.ts';
import { answerDhcp, serverOf } from './answer-dhcp.ts';
import { readDhcp, writeDhcp } from './dhcp-message.ts';
import { readUdpFrame, writeUdpFrame } from './udp-frame.ts';

/*
 * DHCP for the guests of this host, answered by the agent itself. Requests are taken off a tap as they enter the bridge (nobody else on the network sees them, and no other server answers),
 * by a filter that sends them to a VXLAN device whose other end is a socket of the agent: so the agent reads and writes whole frames without raw sockets, without an address on the guests'
 * network, and only for ports that it has a lease for. An answer goes the same way back, by the guest's MAC, straight into its tap.
 */

const device = 'gwdhcp';
/** Where the agent listens. Not 127.0.0.1: to an address of the host itself the kernel hands frames without a datagram, to another VXLAN device or none. */
const loopbackBroadcast = '127.255.255.255';
const vni = 4_242;
const headerBytes = 8;
/** Preference of our filter on a tap; the frame mirror's is on the other side of it. */
const tapPreference = '48000';
/** Locally administered; nobody needs to reach it. */
const serverMac = '02:67:6f:64:77:74';
const everybody = 'ff:ff:ff:ff:ff:ff';
const serverPort = 67;
const clientPort = 68;

type Nic = Pick<NicSpec, 'portId' | 'tapName' | 'mac'>;

export class DhcpService {
  readonly #socket: Socket;
  readonly #kernelPort: number;
  readonly #leaseOf: (portId: string) => AddressLease | null;
  readonly #served = new Map<string, { readonly nic: Nic; readonly preference: number }>();
  #nextPreference = 1;

  private constructor(socket: Socket, kernelPort: number, leaseOf: (portId: string) => AddressLease | null) {
    this.#socket = socket;
    this.#kernelPort = kernelPort;
    this.#leaseOf = leaseOf;
    socket.on('message', (packet) => this.#received(packet));
    // An answer that cannot be sent is asked for again.
    socket.on('error', () => undefined);
  }

  /** Makes the device anew: what an earlier agent left led to a socket that is gone. `leaseOf` is asked at each request. Throws NetworkToolError. */
  static async open(tools: NetworkTools, leaseOf: (portId: string) => AddressLease | null): Promise<DhcpService> {
    const socket = createSocket('udp4');
    socket.bind(0, loopbackBroadcast);
    await once(socket, 'listening');
    socket.unref();
    try {
      await tools.ip('link', 'del', 'dev', device).catch(() => undefined);
      const kernelPort = await freePort();
      await ipBatch([
        `link add name ${device} type vxlan id ${vni} local 127.0.0.1 dstport ${kernelPort} nolearning`,
        `link set dev ${device} addrgenmode none up`,
      ]);
      await tools.bridge(
        'fdb',
        'append',
        '00:00:00:00:00:00',
        'dev',
        device,
        'dst',
        loopbackBroadcast,
        'port',
        String(socket.address().port),
        'self',
        'permanent',
      );
      await tc('qdisc', 'add', 'dev', device, 'clsact');
      return new DhcpService(socket, kernelPort, leaseOf);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Answers at these taps, which exist, from when this returns; or not, by whether their ports have a lease now. Repeating it changes nothing. */
  async serve(nics: readonly Nic[]): Promise<void> {
    for (const nic of nics) {
      if (this.#leaseOf(nic.portId) === null) {
        await this.#release(nic.tapName);
        continue;
      }
      if (this.#served.has(nic.tapName)) continue;
      const preference = this.#nextPreference;
      this.#nextPreference = (preference % 40_000) + 1;
      this.#served.set(nic.tapName, { nic, preference });
      try {
        await this.#redirect(nic, preference);
      } catch (error) {
        this.#served.delete(nic.tapName);
        throw error;
      }
    }
  }

  /** Before or after the taps go. */
  async stop(nics: readonly { readonly tapName: string }[]): Promise<void> {
    for (const { tapName } of nics) await this.#release(tapName);
  }

  close(): void {
    this.#socket.close();
  }

  async #redirect({ tapName, mac }: Nic, preference: number): Promise<void> {
    await tc('qdisc', 'add', 'dev', tapName, 'clsact').catch(unlessSo);
    // One that an earlier agent left leads to a device that is gone. Mostly there is none, which tc says in many words.
    await tc('filter', 'del', 'dev', tapName, 'ingress', 'pref', tapPreference).catch(() => undefined);
    const bytes = mac.replaceAll(':', '');
    const high = ['match', 'u16', `0x${bytes.slice(0, 4)}`, '0xffff', 'at', '-14'];
    const low = ['match', 'u32', `0x${bytes.slice(4)}`, '0xffffffff', 'at', '-12'];
    // The kernel's end listens on every address of the host: nothing but an answer gets through it.
    const answers = ['match', 'ip', 'protocol', '17', '0xff', 'match', 'ip', 'sport', String(serverPort), '0xffff'];
    await tc(...filter(device, String(preference), 'ip'), ...high, ...low, ...answers, ...redirectTo(tapName));
    const asks = ['match', 'ip', 'protocol', '17', '0xff', 'match', 'ip', 'dport', String(serverPort), '0xffff'];
    await tc(...filter(tapName, tapPreference, 'ip'), ...asks, ...redirectTo(device));
  }

  async #release(tap: string): Promise<void> {
    const served = this.#served.get(tap);
    if (served === undefined) return;
    this.#served.delete(tap);
    // The tap may be gone, and with it what led to it.
    await tc('filter', 'del', 'dev', tap, 'ingress', 'pref', tapPreference).catch(() => undefined);
    await tc('filter', 'del', 'dev', device, 'ingress', 'pref', String(served.preference)).catch(() => undefined);
  }

  #received(packet: Buffer): void {
    const frame = packet.length > headerBytes ? readUdpFrame(packet.subarray(headerBytes)) : null;
    if (frame === null || frame.destinationPort !== serverPort) return;
    const asked = readDhcp(frame.payload);
    // The sender's own MAC, on Ethernet and in the message: a guest asks for itself alone.
    const served = [...this.#served.values()].find(({ nic }) => nic.mac === frame.sourceMac);
    if (asked === null || served === undefined || asked.mac !== frame.sourceMac) return;
    const lease = this.#leaseOf(served.nic.portId);
    const answer = lease && answerDhcp(asked, lease);
    if (!lease || !answer) return;
    const known = asked.clientAddress !== '0.0.0.0' && answer.clientAddress === asked.clientAddress;
    const reply = writeUdpFrame({
      sourceMac: serverMac,
      destinationMac: frame.sourceMac === everybody ? serverMac : frame.sourceMac,
      source: serverOf(lease),
      destination: known ? asked.clientAddress : '255.255.255.255',
      sourcePort: serverPort,
      destinationPort: clientPort,
      payload: writeDhcp(answer),
    });
    const header = Buffer.alloc(headerBytes);
    header[0] = 0x08;
    header.writeUIntBE(vni, 4, 3);
    this.#socket.send(Buffer.concat([header, reply]), this.#kernelPort, '127.0.0.1');
  }
}

const filter = (dev: string, preference: string, protocol: string): readonly string[] => [
  'filter',
  'replace',
  'dev',
  dev,
  'ingress',
  'pref',
  preference,
  'protocol',
  protocol,
  'u32',
];
const redirectTo = (dev: string): readonly string[] => ['action', 'mirred', 'egress', 'redirect', 'dev', dev];

/** One that is free now; the kernel's end of the device listens there. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

function unlessSo(error: unknown): void {
  if (!alreadySo(error)) throw error;
}
