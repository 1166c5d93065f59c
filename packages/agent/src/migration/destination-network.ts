import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { NicSpec } from '@godwit/domain/guest-spec';
import type { MigrationId } from '@godwit/domain/ids';
import type { NetworkEncapsulation } from '../drivers/host-driver.ts';
import { lookUp, pointAt } from '../network/forwarding.ts';
import type { BridgeConfig } from '../network/guest-bridge.ts';
import type { NetworkTools } from '../network/network-tools.ts';
import { deleteTap, demandVlan, ensureTap, setTapOpen, type TapRequest, tapQueueFrames } from '../network/tap.ts';
import { delay } from './deadline.ts';
import { FrameHold } from './frame-hold.ts';
import { attachMirrorPoint, receiveMirror, removeTunnels } from './frame-mirror.ts';
import { ipBatch } from './ip-batch.ts';
import type { PortRange } from './port-range.ts';

const defaultMtu = 1500;

/** The destination's side of the network switch: taps that are shut until shortly before the stop, and the tunnels that lead into them. */
export class DestinationNetwork {
  readonly #tools: NetworkTools;
  readonly #migration: MigrationId;
  readonly #nics: readonly NicSpec[];
  readonly #bridge: BridgeConfig;
  #hold: FrameHold | null = null;
  #open = false;
  #inner: NetworkEncapsulation | null = null;
  #encapsulation: NetworkEncapsulation | null = null;
  #release: () => void = () => undefined;

  constructor(tools: NetworkTools, migration: MigrationId, nics: readonly NicSpec[], bridge: BridgeConfig) {
    this.#tools = tools;
    this.#migration = migration;
    this.#nics = nics;
    this.#bridge = bridge;
  }

  /** `open`: from the start, for moves without the switch. */
  async makeTaps(open: boolean): Promise<void> {
    this.#open = open;
    await makeTaps(this.#tools, this.#nics, this.#bridge, open);
  }

  /** The kernel's end of the tunnels, which nobody outside sends to. */
  async makeTunnels(local: string, remote: string): Promise<void> {
    this.#inner = await receiveMirror(
      this.#migration,
      this.#nics.map(({ tapName, mac }) => ({ tap: tapName, mac })),
      local,
      remote,
      await freeUdpPort(local),
    );
  }

  /**
   * Receives from the source, on a port of the range. A tunnel listens on the very port that it sends to, so it must be one that the source does not receive on itself: `busyPorts`.
   * null: there is no mirror. Throws when no port can be had.
   */
  async receive(ports: PortRange, local: string, remote: string, busyPorts: readonly number[]): Promise<NetworkEncapsulation | null> {
    if (this.#inner === null || this.#encapsulation !== null) return this.#encapsulation;
    const refused: number[] = [];
    try {
      for (;;) {
        const port = ports.take();
        try {
          if (busyPorts.includes(port)) throw new Error(`port ${port} is the source's own`);
          this.#hold = await FrameHold.listen({ address: local, port }, remote, { address: local, port: this.#inner.port });
        } catch {
          refused.push(port); // a tunnel of ours, as the source of another move, may listen there too
          continue;
        }
        this.#release = () => ports.giveBack(port);
        this.#encapsulation = { ...this.#inner, port };
        return this.#encapsulation;
      }
    } finally {
      for (const port of refused) ports.giveBack(port);
    }
  }

  async open(): Promise<void> {
    if (this.#open) return;
    this.#open = true;
    await Promise.all(this.#nics.map(({ tapName }) => setTapOpen(this.#tools, tapName, true)));
  }

  /** Shut again, and what had queued is dropped: the guest runs on at the source, and has had it. */
  async close(): Promise<void> {
    this.#open = false;
    this.#hold?.drop();
    await Promise.all(
      this.#nics.map(async ({ tapName }) => {
        await setTapOpen(this.#tools, tapName, false);
        const length =
          ((await this.#tools.ip('link', 'show', 'dev', tapName)) as readonly { readonly txqlen?: number }[])[0]?.txqlen ?? 1000;
        // The queue of a tap can only be emptied by its reader, or by being made shorter.
        await this.#tools.ip('link', 'set', 'dev', tapName, 'txqueuelen', '1');
        await this.#tools.ip('link', 'set', 'dev', tapName, 'txqueuelen', String(length));
      }),
    );
  }

  /**
   * Whether this host's bridge leads every address of the guest to its tap, within `limitMs`. A guest that does not run sends nothing to learn from: its addresses
   * are entered by hand.
   */
  async verify(running: boolean, limitMs: number): Promise<boolean> {
    await this.open();
    if (!running) await Promise.all(this.#nics.map(({ mac, tapName }) => pointAt(this.#tools, mac, tapName, 'learned')));
    const until = performance.now() + limitMs;
    for (;;) {
      const seen = await Promise.all(
        this.#nics.map(async ({ mac, tapName, vlan }) => (await lookUp(this.#tools, this.#bridge.name, mac, vlan))?.port === tapName),
      );
      if (seen.every(Boolean)) return true;
      if (performance.now() >= until) return false;
      await delay(20);
    }
  }

  /** The guest runs: what has arrived for it since `sinceMs` (of performance.now()) is let in, and what comes from now on. */
  letIn(sinceMs: number): void {
    this.#hold?.letIn(sinceMs);
  }

  async removeTunnels(): Promise<void> {
    this.#hold?.close();
    this.#hold = null;
    this.#release();
    this.#release = () => undefined;
    // Whoever made them: an earlier agent, perhaps.
    await removeTunnels(this.#tools, this.#migration, this.#nics.length);
  }

  /** Everything: for a move that did not arrive. */
  async remove(): Promise<void> {
    await this.removeTunnels();
    await Promise.all(this.#nics.map(({ tapName }) => deleteTap(this.#tools, tapName)));
  }
}

/**
 * Guests' taps on the bridge, ready to have their frames mirrored later: what `ensureTap` does for each, in one run of `ip` where they do not exist yet, because the start of a move waits for it.
 */
export async function makeTaps(tools: NetworkTools, nics: readonly NicSpec[], bridge: BridgeConfig, open: boolean): Promise<void> {
  if (nics.length === 0) return;
  for (const { vlan } of nics) demandVlan(bridge, vlan);
  const flags = open ? 'on' : 'off';
  // An access port is given its VLAN by another program, and before it is up.
  const [tagged, untagged] = [nics.filter(({ vlan }) => vlan !== undefined), nics.filter(({ vlan }) => vlan === undefined)];
  const lines = untagged.flatMap(({ tapName, mtu }) => [
    `tuntap add dev ${tapName} mode tap vnet_hdr`,
    `link set dev ${tapName} mtu ${mtu ?? defaultMtu} txqueuelen ${tapQueueFrames} addrgenmode none master ${bridge.name}`,
    `link set dev ${tapName} type bridge_slave learning ${flags} flood ${flags} mcast_flood ${flags} bcast_flood ${flags}`,
    `link set dev ${tapName} up`,
  ]);
  const tapOf = ({ tapName: name, mtu = defaultMtu, vlan }: NicSpec): TapRequest => ({
    name,
    bridge: bridge.name,
    mtu,
    open,
    ...(vlan !== undefined && { vlan }),
  });
  try {
    if (lines.length > 0) await ipBatch(lines);
  } catch {
    // Something was there before: look, and change only what is wrong. This also gives the error its cause.
    for (const nic of untagged) await ensureTap(tools, tapOf(nic));
  }
  for (const nic of tagged) await ensureTap(tools, tapOf(nic));
  // Now, while nothing flows: on a tap in use it would cost a frame.
  await Promise.all(nics.map(({ tapName }) => attachMirrorPoint(tapName)));
}

/** A port of this host's own for the kernel's end of the tunnels: nobody outside sends to it. */
async function freeUdpPort(address: string): Promise<number> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
