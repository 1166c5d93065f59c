import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { type OpenStackClient, signIn } from '@godwit/lab/cloud/openstack-client';
import { ensureGuest, startMove } from '@godwit/lab/demo/demo-cloud';
import type { HostSpec, LabPlan } from '@godwit/lab/lab-plan';
import { waitFor } from '@godwit/lab/wait-for';
import { withLab } from './bench-lab.ts';
import { printed, summarise } from './quantiles.ts';

const run = promisify(execFile);

/** What lies in the disk whose copy is timed; it is not zeros, and nothing compresses it. */
const dataMib = 512;
/** Behind everything that the guest's own writer reaches meanwhile. */
const dataOffsetMib = 400;
const recordsPerSecond = 100;
const convertPort = '49999';

type Entry = { readonly at: number; readonly clock: string; readonly what: string };
type Record = {
  readonly status: string;
  readonly source: { readonly name: string };
  readonly destination: { readonly name: string };
  readonly disk: { readonly processedBytes: number | null };
  readonly measures: { readonly blackoutMs: number | null; readonly clockErrorMs: number | null };
  readonly outcome: { readonly sentence: string } | null;
  readonly timeline: readonly Entry[];
};
export type BlockMove = { readonly blackoutMs: number | null; readonly diskMib: number; readonly mirrorMs: number };
export type CopyRate = {
  readonly mirrorMibPerSecond: number;
  readonly convertMibPerSecond: number;
  readonly convertPlainMibPerSecond: number;
};

/**
 * Moves of a guest whose disk is on its host alone, while it writes numbered, synced records to it. First small ones for the blackout, then a disk with half a GiB in it, each beside
 * a `qemu-img convert` of the same disk over the same link with the same certificates, in turn.
 */
export async function benchBlock(options: {
  readonly blackouts: number;
  readonly copies: number;
}): Promise<{ readonly moves: readonly BlockMove[]; readonly rates: readonly CopyRate[] }> {
  return withLab(async ({ plan, admin }) => {
    const cloud = await signIn(admin);
    const guest = await ensureGuest(cloud, 'bench', 'demo.local');
    const probe = await startProbe(plan.clientNamespace);
    try {
      await answers(probe, guest.address);
      await probe.control(guest.address, `disk ${recordsPerSecond}`);
      const moves: BlockMove[] = [];
      for (let index = 0; index < options.blackouts; index++) {
        await delay(1_000);
        const { move } = await moved(cloud, guest.id);
        console.log(`${index + 1}/${options.blackouts}: ${JSON.stringify(move)}`);
        moves.push(move);
      }
      const verdict = await probe.verifyDisk(guest.address);
      if (!verdict.ok) throw new Error(`acknowledged writes were lost: ${verdict.problem}`);
      console.log(
        `blackout with a local disk, ${recordsPerSecond} synced records/s: ${printed(summarise(moves.flatMap(({ blackoutMs }) => blackoutMs ?? [])))} ms; not one of ${verdict.lastAcknowledged} acknowledged records lost`,
      );
      await fill(cloud, plan, guest.id);
      await answers(probe, guest.address);
      const rates: CopyRate[] = [];
      for (let index = 0; index < options.copies; index++) {
        const host = await hostOf(cloud, guest.id);
        const other = plan.hosts.find(({ name }) => name !== host);
        if (other === undefined) throw new Error('the lab has one host');
        const convertMibPerSecond = await convert(plan, guest.id, host, other.name, true);
        const convertPlainMibPerSecond = await convert(plan, guest.id, host, other.name, false);
        const { move } = await moved(cloud, guest.id);
        const rate = { mirrorMibPerSecond: (move.diskMib * 1000) / move.mirrorMs, convertMibPerSecond, convertPlainMibPerSecond };
        console.log(`copy ${index + 1}/${options.copies}: ${JSON.stringify({ ...rate, ...move })}`);
        rates.push(rate);
      }
      const of = (pick: (rate: CopyRate) => number): string => printed(summarise(rates.map(pick)));
      console.log(
        `MiB/s: mirror of the running guest, TLS ${of((rate) => rate.mirrorMibPerSecond)}; qemu-img convert, TLS ${of((rate) => rate.convertMibPerSecond)}, plain ${of((rate) => rate.convertPlainMibPerSecond)}; mirror to convert, both TLS, ${printed(summarise(rates.map((rate) => (100 * rate.mirrorMibPerSecond) / rate.convertMibPerSecond)))} %`,
      );
      return { moves, rates };
    } finally {
      await probe.stop();
    }
  });
}

const answers = (probe: ClientProbe, address: string): Promise<void> =>
  waitFor(
    'the guest does not answer',
    async () =>
      probe.status(address).then(
        () => true,
        () => false,
      ),
    60_000,
    200,
  );

async function moved(cloud: OpenStackClient, serverId: string): Promise<{ readonly move: BlockMove; readonly record: Record }> {
  const id = await startMove(cloud, serverId, true);
  const read = async (): Promise<Record> =>
    (await cloud.request<{ readonly migration: Record }>('godwit', 'GET', `/migrations/${id}`)).migration;
  let record = await read();
  await waitFor(
    'the move did not end',
    async () => {
      record = await read();
      return ['completed', 'failed', 'error', 'cancelled'].includes(record.status);
    },
    120_000,
    100,
  );
  if (record.status !== 'completed') throw new Error(`migration ${id} ended ${record.status}: ${record.outcome?.sentence ?? ''}`);
  const at = (what: string): number => record.timeline.find((entry) => entry.clock === 'source' && entry.what === what)?.at ?? Number.NaN;
  return {
    record,
    move: {
      blackoutMs: record.measures.blackoutMs,
      diskMib: (record.disk.processedBytes ?? 0) / 2 ** 20,
      mirrorMs: at('disks in step') - at('disks copying'),
    },
  };
}

const view = async (cloud: OpenStackClient, id: string) =>
  (
    await cloud.request<{ readonly server: { readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string } }>(
      'compute',
      'GET',
      `/servers/${id}`,
    )
  ).server;
const hostOf = async (cloud: OpenStackClient, id: string): Promise<string> => (await view(cloud, id))['OS-EXT-SRV-ATTR:host'];

/** Writes the data into the guest's disk while it is off. */
async function fill(cloud: OpenStackClient, plan: LabPlan, id: string): Promise<void> {
  const act = async (action: object, status: string): Promise<void> => {
    await cloud.request('compute', 'POST', `/servers/${id}/action`, { body: action });
    await waitFor(`the guest is not ${status}`, async () => (await view(cloud, id)).status === status, 90_000, 200);
  };
  await act({ 'os-stop': null }, 'SHUTOFF');
  const disk = await diskAt(host(plan, await hostOf(cloud, id)), id);
  await run('qemu-io', ['-f', 'qcow2', '-c', `write -P 170 ${dataOffsetMib}M ${dataMib}M`, disk], { timeout: 60_000 });
  await act({ 'os-start': null }, 'ACTIVE');
}

function host(plan: LabPlan, name: string): HostSpec {
  const found = plan.hosts.find((one) => one.name === name);
  if (found === undefined) throw new Error(`the lab has no ${name}`);
  return found;
}

async function diskAt({ stateDir }: HostSpec, id: string): Promise<string> {
  const folder = path.join(stateDir, 'local', 'disks', id);
  const disk = (await readdir(folder)).find((name) => name.endsWith('.qcow2'));
  if (disk === undefined) throw new Error(`no disk in ${folder}`);
  return path.join(folder, disk);
}

/** The same disk's own layer over the same link into a fresh file on the other host: MiB per second. */
async function convert(plan: LabPlan, id: string, from: string, to: string, tls: boolean): Promise<number> {
  const [source, target] = [host(plan, from), host(plan, to)];
  const address = await managementAddress(plan, to);
  const file = path.join(target.stateDir, 'local', 'bench.qcow2');
  const credentials = ({ stateDir }: HostSpec, endpoint: string): readonly string[] =>
    tls ? ['--object', `tls-creds-x509,id=t,dir=${path.join(stateDir, 'tls')},endpoint=${endpoint},verify-peer=on`] : [];
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1G']);
  const server = spawn(
    'ip',
    [
      ...[
        'netns',
        'exec',
        target.namespace,
        'qemu-nbd',
        '-f',
        'qcow2',
        '--cache=none',
        '--discard=unmap',
        '-b',
        address,
        '-p',
        convertPort,
      ],
      ...['-x', 'disk', ...credentials(target, 'server'), ...(tls ? ['--tls-creds', 't'] : []), file],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  // It ends by itself when the client has gone.
  const gone = once(server, 'exit');
  try {
    const listens = async (): Promise<boolean> =>
      (await run('ip', ['netns', 'exec', target.namespace, 'ss', '-Hltn', 'sport', '=', convertPort])).stdout !== '';
    await waitFor('qemu-nbd does not listen', listens, 10_000, 20);
    const disk = await diskAt(source, id);
    const begunAt = performance.now();
    await run(
      'ip',
      [
        ...['netns', 'exec', source.namespace, 'qemu-img', 'convert', '-n', '-U', '-W', '-m', '8', ...credentials(source, 'client')],
        // Without what lies below it: the mirror does not copy that either.
        ...[
          '--image-opts',
          `driver=qcow2,file.driver=file,file.filename=${disk},file.locking=off,file.cache.direct=on,cache.direct=on,backing=`,
        ],
        ...[
          '--target-image-opts',
          `driver=nbd,server.type=inet,server.host=${address},server.port=${convertPort},export=disk${tls ? `,tls-creds=t,tls-hostname=${address}` : ''}`,
        ],
      ].filter((word) => word !== ''),
      { timeout: 120_000 },
    );
    return (dataMib * 1000) / (performance.now() - begunAt);
  } finally {
    server.kill('SIGKILL');
    await gone;
    await rm(file, { force: true });
  }
}

async function managementAddress(plan: LabPlan, name: string): Promise<string> {
  const config = plan.processes.find((one) => one.name === `agent-${name}`)?.command.at(-1);
  if (config === undefined) throw new Error(`the lab has no agent of ${name}`);
  return (JSON.parse(await readFile(config, 'utf8')) as { readonly managementAddress: string }).managementAddress;
}
