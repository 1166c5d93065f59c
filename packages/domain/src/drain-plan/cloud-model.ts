import type { HostId, ServerId } from '../ids.ts';
import { type DecideOptions, type Decision, decide } from '../scheduling/decide.ts';
import type { HostState, Resources } from '../scheduling/host-state.ts';
import { placeDisks } from '../scheduling/place-disks.ts';
import type { GroupMember, ServerDemand } from '../scheduling/server-demand.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { idOf, type PlannedServer } from './planned-server.ts';

type Place = { readonly id: HostId; readonly name: string };
/** Preparing the filters for one demand costs about as much as asking them about this many hosts. */
const PREPARE_COST = 20;

/** Takes back the step that returned it. Steps are taken back in the reverse order. */
export type Undo = () => void;

/**
 * A cloud on paper: servers are moved in it, and the scheduler's own filters are asked what passes then. Usage, free bytes of local pools, and the hosts of group members and
 * hinted servers follow every move; nothing else of a host or demand changes.
 */
export class CloudModel {
  readonly #hosts: HostState[];
  readonly #hashes: Uint32Array;
  readonly #indexOf: ReadonlyMap<HostId, number>;
  /** Where the servers are that have been moved, or are moving (then on both). All others are where their demands say. */
  readonly #moved = new Map<ServerId, readonly Place[]>();
  /** How many hosts the filters have been asked about, what preparing them costs included: the cost of a search. */
  checks = 0;

  constructor(snapshot: Snapshot) {
    this.#hosts = [...snapshot.hosts];
    this.#hashes = snapshot.idHashes;
    this.#indexOf = new Map(snapshot.hosts.map((host, index) => [host.id, index]));
  }

  host(id: HostId): HostState {
    const host = this.#hosts[this.#indexOf.get(id) ?? -1];
    if (host === undefined) throw new RangeError(`host ${id} is not in the snapshot`);
    return host;
  }

  /** The hosts as they are in this model now; not to be kept over a move. */
  snapshot(): Snapshot {
    return { hosts: this.#hosts, idHashes: this.#hashes };
  }

  /** What the server asks of a host as things stand in this model. */
  demandOf(server: PlannedServer): ServerDemand {
    const { demand } = server;
    const { group, hints } = demand;
    if (this.#moved.size === 0 || (group === null && hints.sameHost.length === 0 && hints.differentHost.length === 0)) return demand;
    return {
      ...demand,
      group: group === null ? null : { ...group, members: this.#placed(group.members) },
      hints: { sameHost: this.#placed(hints.sameHost), differentHost: this.#placed(hints.differentHost) },
    };
  }

  /** The scheduler's decision about every host. */
  decide(server: PlannedServer, options: DecideOptions): Decision {
    this.checks += PREPARE_COST + this.#hosts.length;
    return decide(this.snapshot(), this.demandOf(server), options);
  }

  /** The scheduler's decision about one host. */
  decideOn(server: PlannedServer, host: HostId): Decision {
    this.checks += PREPARE_COST;
    return decide({ hosts: [this.host(host)], idHashes: new Uint32Array(1) }, this.demandOf(server), { seed: 0, limit: 1 });
  }

  passes(server: PlannedServer, host: HostId): boolean {
    return this.decideOn(server, host).passing === 1;
  }

  /** The server is on both hosts from now on. The host must pass. */
  begin(server: PlannedServer, to: HostId): Undo {
    const from = server.demand.currentHost;
    const destination = this.host(to);
    const undo = this.#replace(to, loaded(destination, server, 1));
    return this.#put(server, [from, { id: destination.id, name: destination.name }], undo);
  }

  /** A begun move has ended: the server is on its destination alone. */
  finish(server: PlannedServer, to: HostId): Undo {
    const from = server.demand.currentHost;
    const destination = this.host(to);
    const undo = this.#indexOf.has(from.id) ? this.#replace(from.id, loaded(this.host(from.id), server, -1)) : () => {};
    return this.#put(server, [{ id: destination.id, name: destination.name }], undo);
  }

  move(server: PlannedServer, to: HostId): Undo {
    const begun = this.begin(server, to);
    const finished = this.finish(server, to);
    return () => {
      finished();
      begun();
    };
  }

  /** A server that is on `from` by a move before leaves it, for nowhere. */
  leave(server: PlannedServer, from: HostId): Undo {
    return this.#put(server, [], this.#replace(from, loaded(this.host(from), server, -1)));
  }

  /** The server is nowhere: what would pass if it were not there. */
  lift(server: PlannedServer): Undo {
    const from = server.demand.currentHost.id;
    const undo = this.#indexOf.has(from) ? this.#replace(from, loaded(this.host(from), server, -1)) : () => {};
    return this.#put(server, [], undo);
  }

  #placed(members: readonly GroupMember[]): readonly GroupMember[] {
    return members.some((member) => this.#moved.has(member.id))
      ? members.map((member) => ({ ...member, hosts: this.#moved.get(member.id) ?? member.hosts }))
      : members;
  }

  #replace(id: HostId, host: HostState): Undo {
    const index = this.#indexOf.get(id) ?? -1;
    const before = this.host(id);
    this.#hosts[index] = host;
    return () => {
      this.#hosts[index] = before;
    };
  }

  #put(server: PlannedServer, hosts: readonly Place[], also: Undo): Undo {
    const id = idOf(server);
    const before = this.#moved.get(id);
    this.#moved.set(id, hosts);
    return () => {
      if (before === undefined) this.#moved.delete(id);
      else this.#moved.set(id, before);
      also();
    };
  }
}

/** The host with the server on it (`sign` 1) or without (-1): the ledger, and what its local disks take of the pools. */
function loaded(host: HostState, server: PlannedServer, sign: 1 | -1): HostState {
  const { flavor, disks } = server.demand;
  const add = (resource: keyof Resources): number => host.usage[resource] + sign * flavor[resource];
  const usage = { vcpus: add('vcpus'), ramMib: add('ramMib'), diskGib: add('diskGib') };
  if (disks.every((disk) => disk.kind === 'shared')) return { ...host, usage };
  const taken = new Map<string, number>();
  if (sign === 1) {
    const placed = placeDisks(disks, host.facts, true);
    for (const [index, disk] of disks.entries()) {
      const pool = 'pools' in placed ? placed.pools[index] : undefined;
      if (pool !== undefined && disk.kind !== 'shared') taken.set(pool.name, (taken.get(pool.name) ?? 0) + disk.neededBytes);
    }
  } else for (const disk of disks) if (disk.kind === 'local') taken.set(disk.pool, (taken.get(disk.pool) ?? 0) - disk.neededBytes);
  const pools = host.facts.pools.map((pool) =>
    pool.kind === 'local' || sign === 1 ? { ...pool, freeBytes: pool.freeBytes - (taken.get(pool.name) ?? 0) } : pool,
  );
  return { ...host, usage, facts: { ...host.facts, pools } };
}
