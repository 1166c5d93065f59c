import { createHash } from 'node:crypto';
import type { MigrationId } from '@godwit/domain/ids';
import type { NetworkEncapsulation } from '../drivers/host-driver.ts';
import type { NetworkTools } from '../network/network-tools.ts';
import { listTaps } from '../network/tap.ts';
import { ipBatch } from './ip-batch.ts';
import { alreadySo, tc } from './traffic-control.ts';

/*
 * The network switch that loses no frame.
 *
 * A frame that reaches the source's tap while its QEMU is stopped is lost with that QEMU, and TCP then waits for its retransmission timer, 200 ms at least: the
 * stall that a client sees is one timer, not the blackout. Moving the fabric's forwarding entry at the stop is too late for frames that are on their way.
 *
 * So from shortly before the stop every unicast frame for the guest is copied where the source's bridge hands it to the tap (egress of the tap), sent through a VXLAN tunnel
 * between the two management addresses, held there by the agent until the guest runs (frame-hold.ts), and then put straight into its tap, past the bridge: nothing is learned from it there and nothing can
 * loop. Broadcasts are not copied: the fabric floods them to both hosts. After the switch the copy goes on for a while: frames that still take the old way
 * arrive too. What the source's guest received in its last instants comes twice, which TCP ignores and UDP must expect.
 *
 * Two traps, both found by captures: attaching clsact to a tap in use deactivates the device for an instant and drops a frame, so it is attached when the tap is made; and a MAC learned
 * on the destination's uplink makes its bridge drop answers to a guest whose port does not learn, so the port is opened before the stop as well.
 */

/** Preference of our filter among others on the tap. */
const preference = '49000';

/** Bytes that VXLAN adds do not fit the management link's MTU: the outer packet is fragmented rather than the inner frame dropped. */
const tunnelMtu = '65000';

const tunnelName = (migration: MigrationId, index: number): string => `gx${migration.replaceAll('-', '').slice(0, 8)}${index}`;

/** Made once per tap, while nothing flows through it yet (see above). Repeating it changes nothing. */
export async function attachMirrorPoint(tap: string): Promise<void> {
  await tc('qdisc', 'add', 'dev', tap, 'clsact').catch(unlessSo);
}

/** A guest's network card as the mirror sees it. */
export type MirroredNic = { readonly tap: string; readonly mac: string };

/** Network identifiers of a migration's tunnels: any 24 bits do that two migrations to one port do not share; the port is the migration's own. */
const vniOf = (migration: MigrationId, index: number): number =>
  (createHash('sha256').update(`${migration}/${index}`).digest().readUIntBE(0, 3) & 0xfffffe) + 1;

/**
 * Destination: what arrives through the tunnels, at `port`, goes into the taps. Idle until something is sent there.
 * Throws NetworkToolError; `removeTunnels` undoes it in every state.
 */
export async function receiveMirror(
  migration: MigrationId,
  nics: readonly MirroredNic[],
  local: string,
  remote: string,
  port: number,
): Promise<NetworkEncapsulation> {
  await Promise.all(
    nics.map(async ({ tap }, index) => {
      const tunnel = await makeTunnel(migration, index, { vni: vniOf(migration, index), local, remote, port });
      await tc('qdisc', 'add', 'dev', tunnel, 'clsact').catch(unlessSo);
      await tc(
        'filter',
        'replace',
        'dev',
        tunnel,
        'ingress',
        'pref',
        preference,
        'protocol',
        'all',
        'u32',
        'match',
        'u32',
        '0',
        '0',
        'action',
        'mirred',
        'egress',
        'redirect',
        'dev',
        tap,
      );
    }),
  );
  return { kind: 'vxlan', address: local, port, nics: nics.map(({ mac }, index) => ({ mac, vni: vniOf(migration, index) })) };
}

/** Source: the tunnels, without anything flowing yet. */
export async function prepareMirror(
  migration: MigrationId,
  nics: readonly MirroredNic[],
  local: string,
  to: NetworkEncapsulation,
): Promise<void> {
  await Promise.all(
    nics.map(async ({ tap, mac }, index) => {
      const vni = to.nics.find((nic) => nic.mac === mac)?.vni;
      if (vni === undefined) return;
      await attachMirrorPoint(tap);
      await makeTunnel(migration, index, { vni, local, remote: to.address, port: to.port });
    }),
  );
}

/** Source: from when this returns, every unicast frame handed to the taps also goes to the destination. Takes one `tc` per network card. */
export async function openMirror(migration: MigrationId, nics: readonly MirroredNic[]): Promise<void> {
  await Promise.all(
    nics.map(({ tap, mac }, index) => {
      const bytes = mac.replaceAll(':', '');
      // Offsets of u32 count from the network header: the destination address is the first 6 of the 14 bytes before it.
      const toGuest = [
        'match',
        'u16',
        `0x${bytes.slice(0, 4)}`,
        '0xffff',
        'at',
        '-14',
        'match',
        'u32',
        `0x${bytes.slice(4)}`,
        '0xffffffff',
        'at',
        '-12',
      ];
      return tc(
        'filter',
        'replace',
        'dev',
        tap,
        'egress',
        'pref',
        preference,
        'protocol',
        'all',
        'u32',
        ...toGuest,
        'action',
        'mirred',
        'egress',
        'mirror',
        'dev',
        tunnelName(migration, index),
      );
    }),
  );
}

/** Source: ends the copying; the tunnels stay. Fine when there is nothing to end. */
export async function closeMirror(nics: readonly Pick<MirroredNic, 'tap'>[]): Promise<void> {
  await Promise.all(nics.map(({ tap }) => tc('filter', 'del', 'dev', tap, 'egress', 'pref', preference).catch(unlessSo)));
}

/** Either side: removes the tunnels of a migration, and with them what they still hold. Fine when there are none. */
export async function removeTunnels(tools: NetworkTools, migration: MigrationId, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) await tools.ip('link', 'del', 'dev', tunnelName(migration, index)).catch(unlessSo);
}

/** After a crash: removes every tunnel that belongs to none of these migrations, and first what is copied into it. */
export async function sweepTunnels(tools: NetworkTools, keep: readonly MigrationId[]): Promise<void> {
  const links = (await tools.ip('link', 'show', 'type', 'vxlan')) as readonly { readonly ifname?: string }[] | null;
  const kept = new Set(keep.map((migration) => tunnelName(migration, 0).slice(0, -1)));
  const stale = (links ?? []).flatMap(({ ifname = '' }) =>
    /^gx[0-9a-f]{8}\d$/.test(ifname) && !kept.has(ifname.slice(0, -1)) ? [ifname] : [],
  );
  if (stale.length === 0) return;
  for (const { name } of await listTaps(tools)) {
    const copying = (await tc('filter', 'show', 'dev', name, 'egress', 'pref', preference).catch(none)).split(/\W/);
    if (stale.some((tunnel) => copying.includes(tunnel))) await closeMirror([{ tap: name }]);
  }
  for (const tunnel of stale) await tools.ip('link', 'del', 'dev', tunnel).catch(unlessSo);
}

async function makeTunnel(
  migration: MigrationId,
  index: number,
  to: { readonly vni: number; readonly local: string; readonly remote: string; readonly port: number },
): Promise<string> {
  const name = tunnelName(migration, index);
  await ipBatch([
    `link add name ${name} type vxlan id ${to.vni} local ${to.local} remote ${to.remote} dstport ${to.port} nolearning`,
    `link set dev ${name} mtu ${tunnelMtu} addrgenmode none up`,
  ]).catch(unlessSo);
  return name;
}

function unlessSo(error: unknown): void {
  if (!alreadySo(error)) throw error;
}

/** What a tap that has just gone shows. */
function none(error: unknown): string {
  unlessSo(error);
  return '';
}
