import type { PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import { type DrainPlan, planDrain } from '@godwit/domain/drain-plan/plan-drain';
import type { PlannedServer } from '@godwit/domain/drain-plan/planned-server';
import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import { type Snapshot, snapshotOf } from '@godwit/domain/scheduling/snapshot';
import type { Db } from '../../store/database.ts';
import { loadHosts } from '../scheduling/load-hosts.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { type MeasuredLinks, measureLinks } from './link-facts.ts';
import { type Excluded, type FleetServer, loadPlanned, type PlanKind } from './load-planned.ts';
import { hostsNamed, selectServers } from './select-servers.ts';

export type PlanContext = Pick<WorkflowContext, 'db' | 'config' | 'hosts'>;

export type MadePlan = {
  readonly kind: PlanKind;
  readonly plan: DrainPlan;
  readonly excluded: readonly Excluded[];
  readonly servers: ReadonlyMap<ServerId, FleetServer>;
  readonly links: MeasuredLinks;
};

/** The hosts as the scheduler sees them, those that are being emptied closed. */
export async function planningSnapshot(context: PlanContext, db: Db, emptied: readonly string[]): Promise<Snapshot> {
  const snapshot = context.hosts === undefined ? snapshotOf(await loadHosts(db, context.config)) : await context.hosts.current(db);
  if (emptied.length === 0) return snapshot;
  const closed = new Set(emptied);
  const hosts = snapshot.hosts.map((host) =>
    closed.has(host.name) ? { ...host, enabled: false, disabledReason: host.disabledReason ?? 'it is to be emptied' } : host,
  );
  return { hosts, idHashes: snapshot.idHashes };
}

/** Default of `parallel` where nothing is copied and guests are down meanwhile. */
export const RESTARTS_AT_ONCE = 10;
/** At most so many servers that were not named are looked at for making room. */
const OTHERS_LOOKED_AT = 300;

/**
 * A plan for what is asked, on the hosts as they are now. Nothing moves and nothing is kept. Throws HostNotFound, BareMetalTarget, NotFound, ServerNotFound for what is not there, and
 * BadRequest when no server is selected (a host to be drained may be empty).
 */
export async function makePlan(context: PlanContext, request: PlanRequest): Promise<MadePlan> {
  const { db } = context;
  const kind = request.kind ?? 'bulk';
  const { select } = request;
  const emptied = 'host' in select ? [select.host] : 'hosts' in select ? select.hosts : [];
  if (kind !== 'bulk' && emptied.length === 0) throw new GodwitError('BadRequest', `A plan of kind ${kind} selects a host or hosts.`);
  const destination = request.destination ?? null;
  const pins = new Map((request.pins ?? []).map(({ server, host }) => [server, host]));
  await hostsNamed(db, [...new Set([...(destination === null ? [] : [destination]), ...pins.values()])]);
  const ids = await selectServers(db, select);
  if (ids.length === 0 && kind === 'bulk') throw new GodwitError('BadRequest', 'The selection holds no server.');
  const stranger = [...pins.keys()].find((id) => !ids.includes(id));
  if (stranger !== undefined) throw new GodwitError('BadRequest', `Instance ${stranger} is pinned and not selected.`);
  const options = {
    kind,
    blockMigration: request.blockMigration ?? 'auto',
    onlyHost: (server: ServerId) => pins.get(server) ?? destination,
  } as const;
  const [loaded, links, snapshot] = [
    await loadPlanned(db, ids, options),
    await measureLinks(db, context.config.limits, request.parallel ?? (kind === 'evacuate' ? RESTARTS_AT_ONCE : 1)),
    await planningSnapshot(context, db, emptied),
  ];
  // A restart copies nothing: no link limits how many begin at once.
  const { parallel } = links.facts;
  const facts = kind === 'evacuate' ? { ...links.facts, outgoingPerHost: parallel, incomingPerHost: parallel } : links.facts;
  const plan = (others: readonly PlannedServer[]): DrainPlan => planDrain(snapshot, loaded.planned, { seed: 1, others, links: facts });
  const first = plan([]);
  const made = { kind, excluded: loaded.excluded, links };
  if (request.moveOthers !== true || first.unplaced.length === 0) return { ...made, plan: first, servers: loaded.servers };
  const near = [...new Set(first.unplaced.flatMap(({ hosts }) => hosts.map(({ name }) => name)))];
  const inTheWay =
    near.length === 0
      ? []
      : await db
          .selectFrom('server')
          .innerJoin('host', 'host.id', 'server.host_id')
          .select('server.id')
          .where('host.name', 'in', near)
          .where('server.deleted_at', 'is', null)
          .where('server.id', 'not in', [...ids])
          .orderBy('server.created_at')
          .limit(OTHERS_LOOKED_AT)
          .execute();
  const others = await loadPlanned(
    db,
    inTheWay.map(({ id }) => id),
    { ...options, kind: 'bulk', onlyHost: () => null },
  );
  return { ...made, plan: plan(others.planned), servers: new Map([...others.servers, ...loaded.servers]) };
}
