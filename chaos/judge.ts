/** What must hold after every cell, whatever was broken. Each breach is one sentence; none means that the cell has passed. */
import { describeViolation } from '@godwit/lab/client/witness-judge';
import { isTrueEnd, type LiveCell } from './cells.ts';
import { type ChaosLab, type Migration, type Server, until } from './chaos-lab.ts';

const SETTLED_MS = 60_000;
const ANSWERS_MS = 60_000;

export type Before = {
  readonly serverId: string;
  readonly source: string;
  readonly destination: string;
  readonly nonce: string;
  readonly violations: number;
};

/** The record has ended, with a true cause; the server shows the same; one copy runs, or none, and nothing else is left anywhere; the guest answers, and has every write that it was told was safe. */
export async function judge(
  lab: ChaosLab,
  cell: LiveCell,
  before: Before,
  migration: Migration,
  wayOut: string | null,
): Promise<readonly string[]> {
  const breaches: string[] = [];
  const { serverId, source, destination } = before;
  const { outcome } = migration;
  const cause = outcome?.cause ?? null;
  const runsOn = outcome?.runsOn ?? 'unknown';
  if (migration.finishedAt === null) breaches.push(`the record has not ended: ${migration.status}, ${migration.phase}`);
  if (!isTrueEnd(cell, { runsOn, cause }))
    breaches.push(
      `the record ends "${migration.status}, ${cause ?? 'no cause'}, runs on ${runsOn}", which is not true here: ${outcome?.sentence ?? ''}`,
    );
  if (cause !== null && (outcome?.sentence ?? '') === '') breaches.push('the record has a cause and no sentence');

  const server = await until('the server has no task', SETTLED_MS, async () => {
    const now = await lab.server(serverId);
    return now['OS-EXT-STS:task_state'] === null ? now : undefined;
  }).catch(() => lab.server(serverId));
  if (server['OS-EXT-STS:task_state'] !== null) breaches.push(`the server's task is still ${server['OS-EXT-STS:task_state']}`);
  const here = server['OS-EXT-SRV-ATTR:host'];
  // A guest that was taken and died there is the destination's: its disk is. One whose destination was fenced starts again elsewhere, from a shared disk.
  const taken =
    runsOn === 'destination' ||
    cause === 'GuestCrashedOnArrival' ||
    ((cause === 'DestinationDown' || cause === 'GuestDiskError') && migration.status === 'error' && wayOut === null);
  const expected = taken ? destination : source;
  if (here !== expected) breaches.push(`the server is on ${here}, by the record on ${expected}`);
  // The pool may be full for longer than the move lasts.
  const stoppedSince = cell.fault === 'pool-full' && server.status === 'ERROR' && server.fault?.message.includes('stands still') === true;
  const runs = (runsOn === 'source' || runsOn === 'destination') && !stoppedSince;
  if (runs !== (server.status === 'ACTIVE')) breaches.push(`the server shows ${server.status}, the record says that it runs on ${runsOn}`);

  // A guest that a disk has stopped does not run, and has its QEMU.
  const stands = cause === 'GuestDiskError' || stoppedSince;
  if (stands && server.status !== 'ERROR') breaches.push(`the server shows ${server.status}, the record says that a disk has stopped it`);
  // Until the guest has been seen alive at the destination, its disks at the source may be the better ones.
  const keepsDisks = expected === destination && !runs && !stands ? source : null;
  breaches.push(...(await oneCopy(lab, before, server, runs || stands, keepsDisks)));
  const claims = await lab.claims(serverId);
  if (claims.join() !== here) breaches.push(`claims are on ${claims.join(', ') || 'no host'}, the server is on ${here}`);

  if (runs) breaches.push(...(await guestIsWhole(lab, server, before.nonce)));
  else {
    // The record says that no copy is left: then it starts again, from a disk that has every write it was told was safe.
    await lab.ask(
      'compute',
      'POST',
      `/servers/${serverId}/action`,
      server.status === 'SHUTOFF' ? { 'os-start': null } : { reboot: { type: 'HARD' } },
    );
    const started = await until('the guest starts again', SETTLED_MS, async () => {
      const now = await lab.server(serverId);
      return now['OS-EXT-STS:task_state'] === null && now.status === 'ACTIVE' ? now : undefined;
    }).catch((error: unknown) => (error as Error).message);
    if (typeof started === 'string') breaches.push(started);
    else breaches.push(...(await guestIsWhole(lab, started, null)));
  }
  if (!lab.witness.isWatching) breaches.push('the witness has stopped looking');
  for (const violation of lab.witness.violations.slice(before.violations)) breaches.push(`witness: ${describeViolation(violation)}`);
  return breaches;
}

/** Processes, network devices, ports and files: those of one guest where the server is, nothing anywhere else. */
async function oneCopy(
  lab: ChaosLab,
  { serverId }: Before,
  server: Server,
  isThere: boolean,
  keepsDisks: string | null,
): Promise<readonly string[]> {
  const here = server['OS-EXT-SRV-ATTR:host'];
  const look = async (): Promise<readonly string[]> => {
    const breaches: string[] = [];
    for (const { name } of lab.plan.hosts) {
      const { qemus, devices, ports, files: found } = await lab.traces(name, serverId);
      const files = name === keepsDisks ? found.filter((file) => !file.startsWith('local/disks/')) : found;
      const lives = isThere && name === here;
      if (qemus !== (lives ? 1 : 0)) breaches.push(`${name} has ${qemus} QEMUs of the guest`);
      if (devices.length > (lives ? 1 : 0)) breaches.push(`${name} has the network devices ${devices.join(', ')}`);
      if (ports.length > 0) breaches.push(`${name} still listens on ${ports.join(', ')}`);
      if (name !== here && files.length > 0)
        breaches.push(`${name} still has ${files.slice(0, 4).join(', ')}${files.length > 4 ? ' …' : ''}`);
    }
    return breaches;
  };
  let last: readonly string[] = [];
  await until('nothing is left', SETTLED_MS, async () => {
    last = await look();
    return last.length === 0 ? true : undefined;
  }).catch(() => undefined);
  return last;
}

/** `nonce`: of the boot that must still be running; null for one that was started again. */
async function guestIsWhole(lab: ChaosLab, server: Server, nonce: string | null): Promise<readonly string[]> {
  const address = Object.values(server.addresses).flat()[0]?.addr ?? '';
  const status = await until(
    'the guest answers',
    ANSWERS_MS,
    async () => (await lab.probe.status(address).catch(() => null)) ?? undefined,
  ).catch(() => null);
  if (status === null) return ['the guest does not answer, and the record says that it runs'];
  const breaches: string[] = [];
  if (nonce !== null && status.nonce !== nonce) breaches.push('the guest has booted again, and the record says that it ran on');
  if (status.memory.pagesCorrupt > 0) breaches.push(`${status.memory.pagesCorrupt} pages of its memory are corrupt`);
  const disk = await lab.probe.verifyDisk(address).catch((error: unknown) => (error as Error).message);
  if (typeof disk === 'string') breaches.push(`its disk could not be read back: ${disk}`);
  else if (!disk.ok || disk.torn > 0 || disk.missing > 0)
    breaches.push(`its disk lacks ${disk.missing} writes that it was told were safe, ${disk.torn} are torn: ${disk.problem}`);
  return breaches;
}
