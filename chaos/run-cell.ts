/** One cell once: a move is brought to the phase, held there, injured, and followed to its end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Blocker } from './blocker.ts';
import type { LiveCell, Victim } from './cells.ts';
import { type ChaosLab, type Migration, until } from './chaos-lab.ts';
import { injure, mend, prepareInjury } from './injury.ts';
import { judge } from './judge.ts';
import { type Hold, holdOf } from './phase-points.ts';

const BOOT_MS = 60_000;
const REACHED_MS = 60_000;
/** From the ways out being named until a host that lost its power, or its cable, has had the time to end the move without one. */
const COMES_BACK_MS = 20_000;
/** A process that is held looks every 2 ms whether it still is. */
const LET_GO_MS = 100;
/** From the end of the fault until the record has ended, or names its ways out. */
const ENDS_MS = 90_000;
/** What the disk writer of the guest is asked for: each record is counted once the device has said that it is on stable storage. */
const DISK_RECORDS_PER_SECOND = 20;

export type CellResult = {
  readonly fault: string;
  readonly victim: Victim;
  readonly phase: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** The line of a log that proves where the move was. */
  readonly proof: string;
  readonly injury: string;
  /** How the record ended. */
  readonly end: string;
  /** The way out that was taken, when the record named any and did not end without. */
  readonly wayOut: string | null;
  readonly breaches: readonly string[];
};

export async function runCell(lab: ChaosLab, blocker: Blocker, serverId: string, cell: LiveCell): Promise<CellResult> {
  const { fault, victim, phase } = cell;
  const startedAt = performance.now();
  const source = await ready(lab, serverId);
  const destination = lab.other(source);
  const hosts = { source, destination };
  const hold = holdOf(cell);
  const notes = { proof: '', injury: '', end: '', wayOut: null as string | null };
  const breaches: string[] = [];
  try {
    await prepareInjury(lab, fault, victim, hosts);
    const nonce = (await lab.probe.status(await addressOf(lab, serverId))).nonce;
    const before = { serverId, source, destination, nonce, violations: lab.witness.violations.length };
    // Who takes the move up goes on with it: an agent that is held does not say which controller that is.
    const begins = fault === 'takeover' && hold.process !== 'controller' ? holdOf({ fault, victim, phase: 'scheduling' }) : null;
    const begun = begins && (await holdAt(lab, begins, hosts, true));
    const reached = await holdAt(lab, hold, hosts, fault === 'takeover');
    if (hold.slow) await lab.slowCables();
    if (phase === 'queued') await blocker.begin();
    const move = await begin(lab, serverId);
    const first = begun && (await begun(move));
    if (begins && first) await lab.disarm(first.held, begins.point);
    const { held, line } = await reached(move);
    notes.proof = line;
    let freed: Promise<void> | undefined;
    const letGo = async (): Promise<void> => {
      await lab.disarmAll();
      if (phase === 'queued') freed = blocker.end();
      freed?.catch(() => {});
    };
    notes.injury = await injure({ lab, serverId, ...hosts, inCharge: first?.held ?? held, letGo }, cell);
    await freed;
    await lab.fastCables();
    const migration = await ended(lab, move, notes, fault === 'power-off' ? 0 : COMES_BACK_MS);
    notes.end = `${migration.status}, ${migration.outcome?.cause ?? 'no cause'}, runs on ${migration.outcome?.runsOn ?? 'unknown'}`;
    if (fault === 'power-off') await mend(lab, cell, hosts);
    breaches.push(...(await judge(lab, cell, before, migration, notes.wayOut)));
  } catch (error) {
    breaches.push((error as Error).message);
  } finally {
    await mend(lab, cell, hosts);
    await blocker.end().catch((error: unknown) => breaches.push((error as Error).message));
  }
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  return { fault, victim, phase, passed: breaches.length === 0, seconds, ...notes, breaches };
}

/** Whatever the cell before has left: a guest that runs, answers and writes. Its host. */
async function ready(lab: ChaosLab, serverId: string): Promise<string> {
  const idle = await until('the server has no task', BOOT_MS, async () => {
    const now = await lab.server(serverId);
    return now['OS-EXT-STS:task_state'] === null ? now : undefined;
  });
  if (idle.status === 'SHUTOFF') await lab.ask('compute', 'POST', `/servers/${serverId}/action`, { 'os-start': null });
  if (idle.status === 'ERROR') await lab.ask('compute', 'POST', `/servers/${serverId}/action`, { reboot: { type: 'HARD' } });
  const server = await until('the server is ACTIVE', BOOT_MS, async () => {
    const now = await lab.server(serverId);
    return now.status === 'ACTIVE' && now['OS-EXT-STS:task_state'] === null ? now : undefined;
  });
  const address = await addressOf(lab, serverId);
  await until('the guest answers', BOOT_MS, async () => (await lab.probe.status(address).catch(() => null)) ?? undefined);
  await lab.probe.control(address, `disk ${DISK_RECORDS_PER_SECOND}`);
  await until('the guest writes', BOOT_MS, async () => ((await lab.probe.status(address)).disk.acknowledged > 0 ? true : undefined));
  const since = new Date();
  for (const { name } of lab.plan.hosts)
    await until(`${name} is up`, BOOT_MS, async () => ((await lab.isUp(name, new Date(since.getTime() - 10_000))) ? true : undefined));
  const source = server['OS-EXT-SRV-ATTR:host'];
  // What is known of a host is as old as its last report: the room in its pool, for one.
  const other = lab.other(source);
  await until(`${other} passes as a destination`, BOOT_MS, async () => ((await lab.mayMoveTo(serverId, other)) ? true : undefined));
  return source;
}

async function addressOf(lab: ChaosLab, serverId: string): Promise<string> {
  return Object.values((await lab.server(serverId)).addresses).flat()[0]?.addr ?? '';
}

/** Arms the point. What it returns resolves once a process is held there, with its name and the line of its log that says so. */
async function holdAt(
  lab: ChaosLab,
  hold: Hold,
  hosts: { readonly source: string; readonly destination: string },
  twoControllers: boolean,
) {
  const names =
    hold.process === 'controller'
      ? ['controller', ...(twoControllers ? ['controller-2'] : [])]
      : [`agent-${hold.process === 'source-agent' ? hosts.source : hosts.destination}`];
  const follow = () => Promise.all(names.map(async (name) => ({ name, log: await lab.followLog(name) })));
  let logs = await follow();
  for (const name of names) await lab.arm(name, hold.point);
  const point = hold.process === 'controller' ? hold.point.replace('.', ':') : hold.point;
  return (move: string) =>
    until(`a process is held at ${hold.point}`, REACHED_MS, async () => {
      const { finishedAt, outcome } = await lab.migration(move);
      if (finishedAt !== null) throw new Error(`the move has ended before anything was held at ${hold.point}: ${outcome?.sentence ?? ''}`);
      for (const { name, log } of logs) {
        const line = await log.line(`"faultPoint":"${point}"`);
        if (line === undefined) continue;
        if (!hold.recorded.includes((await lab.migration(move)).phase)) {
          // A late message of the move before: it is let go, and the next one is waited for.
          for (const one of names) await lab.disarm(one, hold.point);
          await delay(LET_GO_MS);
          logs = await follow();
          for (const one of names) await lab.arm(one, hold.point);
          return undefined;
        }
        // Whoever takes over goes on.
        for (const other of names) if (other !== name) await lab.disarm(other, hold.point);
        return { held: name, line };
      }
      return undefined;
    });
}

/** Asks for a live migration; its id. */
async function begin(lab: ChaosLab, serverId: string): Promise<string> {
  const before = await lab.newestMigration(serverId);
  await lab.ask('compute', 'POST', `/servers/${serverId}/action`, { 'os-migrateLive': { host: null, block_migration: 'auto' } });
  return until('the move has a record', 10_000, async () => {
    const newest = await lab.newestMigration(serverId);
    return newest === before ? undefined : newest;
  });
}

/** The record, ended. When it names ways out instead, the fence is taken, and it must end by that. */
async function ended(lab: ChaosLab, move: string, notes: { wayOut: string | null }, comesBackMs: number): Promise<Migration> {
  const look = async (): Promise<Migration | undefined> => {
    const now = await lab.migration(move);
    return now.finishedAt !== null || now.waysOut.length > 0 ? now : undefined;
  };
  const isOver = async (): Promise<Migration | undefined> => {
    const now = await lab.migration(move);
    return now.finishedAt !== null ? now : undefined;
  };
  const seen = await until('the record has ended, or names its ways out', ENDS_MS, look).catch(() => lab.migration(move));
  if (seen.finishedAt !== null) return seen;
  // A host that is on its way back ends it without us.
  const alone = await until('it ends by itself', comesBackMs, isOver).catch(() => null);
  if (alone !== null) return alone;
  const fence = (await lab.migration(move)).waysOut.find(({ kind }) => kind === 'fence');
  if (fence === undefined) return seen;
  notes.wayOut = fence.sentence;
  await lab.ask('godwit', 'POST', `/hosts/${fence.host}/fence`, { confirmed: true });
  return until('the record has ended by its way out', ENDS_MS, isOver).catch(() => lab.migration(move));
}
