import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { decide } from '@godwit/domain/scheduling/decide';
import { type ExplainedHost, explainDecision } from '@godwit/domain/scheduling/explain';
import { noValidHostDetails } from '@godwit/domain/scheduling/no-valid-host';
import { snapshotOf } from '@godwit/domain/scheduling/snapshot';
import { storedVerdicts } from '@godwit/domain/scheduling/stored-verdicts';
import { checkAction } from '@godwit/domain/server-states';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import type { Db } from '../../store/database.ts';
import { demandStorage } from '../../workflows/accept/live-migrate.ts';
import { loadDemand } from '../../workflows/scheduling/load-demand.ts';
import { loadHosts } from '../../workflows/scheduling/load-hosts.ts';
import { parseQuery } from '../query.ts';
import { requireAdmin } from './require-admin.ts';

export type DestinationsContext = Pick<AppContext, 'db'> & {
  readonly config: Pick<AppContext['config'], 'cpuAllocationRatio' | 'ramAllocationRatio' | 'diskAllocationRatio'>;
};

const types = { live: { kind: 'live-migration', action: 'live-migrate' }, cold: { kind: 'migration', action: 'migrate' } } as const;
const blocks = { auto: 'auto', true: true, false: false } as const;
const knownQuery = new Set(['type', 'block']);
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * `GET /servers/{id}/destinations?type=live|cold&block=auto|true|false`: every host with its verdict, every reason, and for those that pass rank, why, and load before and
 * after, by the very filters and weighers that place the server. For admins. `refusal` is why the server cannot be moved so at all (its state, bare metal, its storage).
 * It is a look, not a reservation: when the move is asked for, all is decided again.
 */
export function destinationRoutes(app: FastifyInstance, context: DestinationsContext): void {
  const { db } = context;
  app.get('/servers/:id/destinations', async (request) => {
    const caller = await requireAdmin(db, request);
    const query = parseQuery(request.url.split('?')[1] ?? '');
    for (const key of query.keys())
      if (!knownQuery.has(key)) throw new GodwitError('BadRequest', `"${key.slice(0, 60)}" is not a parameter of destinations.`);
    const type = choice(query.get('type')?.at(-1) ?? 'live', types, 'type');
    const block = choice(query.get('block')?.at(-1) ?? 'auto', blocks, 'block');
    const { id } = request.params as { id: string };
    const server = uuid.test(id)
      ? await db.selectFrom('server').selectAll().where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst()
      : undefined;
    if (server === undefined) throw new GodwitError('ServerNotFound', `Instance ${id.slice(0, 255)} could not be found.`);
    const { kind, action } = types[type];
    const serverId = as<ServerId>(server.id);
    const demand = await loadDemand(db, serverId, {
      kind,
      requestedHost: null,
      copiesLocalDisks: type === 'cold' || blocks[block] !== false,
      excludedHosts: [],
    });
    const hosts = await loadHosts(db, context.config);
    const decision = decide(snapshotOf(hosts), demand, { seed: 0, limit: Infinity });
    const explained = explainDecision(decision);
    const current = hosts.find((host) => host.id === demand.currentHost?.id);
    const refusal = await refusalOf(
      db,
      serverId,
      type,
      blocks[block],
      checkAction(
        action,
        {
          id: server.id,
          projectId: server.project_id,
          vmState: server.vm_state,
          taskState: server.task_state,
          locked: server.locked,
          hypervisorType: current?.facts.hypervisorType ?? null,
        },
        caller,
      ),
    );
    const [best] = explained;
    return {
      server: {
        id: server.id,
        name: server.name,
        host: demand.currentHost,
        requestedZone: demand.requestedZone,
        group: demand.group === null ? null : { id: demand.group.id, name: demand.group.name, policy: demand.group.policy },
      },
      type,
      block,
      refusal,
      chosen: best?.passes === true ? { id: best.host.id, name: best.host.name } : null,
      summary: best?.passes === true ? null : noValidHostDetails(storedVerdicts(decision)),
      hosts: explained.map((one) => view(one, best)),
    };
  });
}

/** Why the server itself cannot be moved this way now, or null. The same checks, in the same order, as when it is asked for. */
async function refusalOf(
  db: Db,
  serverId: ServerId,
  type: keyof typeof types,
  block: boolean | 'auto',
  verdict: ReturnType<typeof checkAction>,
) {
  if (!verdict.ok) return { code: verdict.code, message: verdict.message };
  if (type === 'cold') return null;
  try {
    await demandStorage(db, serverId, block);
    return null;
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    return { code: error.code, message: error.message };
  }
}

function view(one: ExplainedHost, best: ExplainedHost | undefined) {
  return {
    id: one.host.id,
    name: one.host.name,
    zone: one.host.zone,
    hypervisorType: one.host.facts.hypervisorType,
    verdict: one.passes ? 'passes' : 'rejected',
    reasons: one.reasons,
    rank: one.rank,
    why: one.why,
    // Hosts that the weighers find equal share the load by chance: any of them may be taken.
    tiedWithBest:
      one.passes && best !== undefined && one.why.length === best.why.length && one.why.every((why, index) => why === best.why[index]),
    loadBefore: one.loadBefore,
    loadAfter: one.loadAfter,
  };
}

function choice<Choices extends Readonly<Record<string, unknown>>>(value: string, choices: Choices, key: string): keyof Choices & string {
  if (!Object.hasOwn(choices, value))
    throw new GodwitError('BadRequest', `"${key}" is one of ${Object.keys(choices).join(', ')}, not "${value.slice(0, 60)}".`);
  return value;
}
