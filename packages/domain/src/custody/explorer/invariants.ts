/** What the explorer claims of every reachable world. Each is one sentence; the first that does not hold is the counterexample's title. */
import { commandsFor, controllerStep } from '../controller.ts';
import type { CustodyRow } from '../custody-row.ts';
import { type Disks, HOSTS, type World } from './world.ts';

/** Null when every claim holds. `world.ran` must already include this world. */
export function violation(world: World): string | null {
  let running = 0;
  for (const [index, { value: host }] of world.hosts.entries()) {
    for (const qemu of host.qemus) {
      if (qemu.run !== 'running' || host.cutOff) continue;
      running += 1;
      if (qemu.epoch < world.ran) return `the copy on ${HOSTS[index]} runs under epoch ${qemu.epoch} after one has run under ${world.ran}`;
    }
    const { machine, promised } = host;
    if (machine === null) continue;
    if (machine.knownEpoch < promised.granted)
      return `${HOSTS[index]} has forgotten that it answered the grant of epoch ${promised.granted}`;
    if (machine.copy.kind === 'granted' && machine.copy.grant.memory !== undefined && machine.lastTaken > machine.copy.grant.memory)
      return `${HOSTS[index]} is to load the memory of epoch ${machine.copy.grant.memory}, and has taken epoch ${machine.lastTaken} since`;
    if (machine.lastTaken < promised.resumed)
      return `${HOSTS[index]} has forgotten that epoch ${promised.resumed} has spent the memory that it was loaded from`;
    for (const { copy } of [machine, host.journal.now]) {
      const memory = copy.kind === 'suspended' ? copy.grant : copy.kind === 'granted' ? copy.memory : undefined;
      if (memory !== undefined && !host.memories.some(({ epoch, durable }) => durable && epoch === memory.epoch))
        return `${HOSTS[index]} takes the memory of epoch ${memory.epoch} for the copy, and a power loss would take it`;
    }
    if (machine.refusedThrough < promised.forfeited) return `${HOSTS[index]} has forgotten that it forfeited epoch ${promised.forfeited}`;
  }
  if (running > 1) return 'two copies run';
  if (world.unharmed && world.row.value.holder.kind === 'nowhere') return 'the guest is lost although nothing has failed but a migration';
  const { holder, operation } = world.row.value;
  const mixed = operation === null && world.disks !== null ? world.disks.ran & world.disks.left : 0;
  if (mixed !== 0) return `disks with which the guest has run are noted as leftovers (at host ${Math.log2(mixed)})`;
  if (holder.kind === 'suspended' && operation === null && !world.row.value.behind && world.ran > holder.epoch)
    return `the database takes the memory of epoch ${holder.epoch} for the copy, and the guest has run under epoch ${world.ran} since`;
  if (running > 0 && holder.kind !== 'host' && operation === null && !world.row.value.behind)
    return `the database says that no copy ${holder.kind === 'nowhere' ? 'is left' : 'runs'}, and one runs`;
  return null;
}

/** A memory that runs although the guest has run on since it was saved: what it has written in between is lost. `ran`: in the world before. */
export function spentMemory(ran: number, world: World): string | null {
  for (const { value: host } of world.hosts)
    for (const { epoch, memory, run } of host.qemus)
      if (memory !== undefined && run === 'running' && !host.cutOff && ran > memory && ran !== epoch)
        return `the memory of epoch ${memory} runs after the guest has run under epoch ${ran}`;
  return null;
}

/** Settled: one copy runs where the row says, or its memory is there, or the row offers the restart from disk; and nothing else is left alive anywhere. */
export function settled(world: World): boolean {
  const { holder, operation, remains, behind } = world.row.value;
  if (operation !== null || behind || remains.length > 0) return false;
  if (holder.kind === 'suspended') {
    const copy = world.hosts[HOSTS.indexOf(holder.hostId)]?.value.machine?.copy;
    if (copy?.kind !== 'suspended' || copy.grant.epoch !== holder.epoch) return false;
  }
  let known = 0;
  for (const [index, { value: host }] of world.hosts.entries()) {
    for (const qemu of host.qemus) {
      const held = holder.kind === 'host' && holder.hostId === HOSTS[index] && holder.epoch === qemu.epoch && qemu.run === 'running';
      if (!held) return false;
      known += 1;
    }
  }
  return holder.kind !== 'host' || known === 1;
}

/** Way out "fenced": once a host is fenced, no operation waits for it any more (only the destruction of its remains does). */
export function waitsForFenced(row: CustodyRow): string | null {
  for (const hostId of HOSTS) {
    const fenced = controllerStep(row, { kind: 'fenced', fence: row.fence, hostId }).row;
    const waits = commandsFor({ ...fenced, remains: [] }).some((effect) => effect.kind !== 'refuse' && effect.to === hostId);
    if (waits) return `${fenced.operation?.kind ?? 'nothing'} still waits for ${hostId} after it was fenced`;
  }
  return null;
}

/** The highest epoch under which vCPUs have run on a host that was not cut off at the time. */
export function ranIn(world: World): number {
  let { ran } = world;
  for (const { value: host } of world.hosts)
    for (const qemu of host.qemus) if (qemu.run === 'running' && !host.cutOff && qemu.epoch > ran) ran = qemu.epoch;
  return ran;
}

/** Where the guest has run with the disks that are there. */
export function disksIn({ disks, hosts }: World): Disks | null {
  if (disks === null) return null;
  const ran = hosts.reduce((set, { value: host }, index) => {
    const runs = !host.cutOff && host.qemus.some((qemu) => qemu.run === 'running');
    return runs ? set | (1 << index) : set;
  }, disks.ran);
  return ran === disks.ran ? disks : { ...disks, ran };
}
