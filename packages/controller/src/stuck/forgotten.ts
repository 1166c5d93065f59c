import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { nothingToCall, type Problem } from './problem.ts';

/** A finished cold move that nobody has answered for a day holds capacity on two hosts. */
const FORGOTTEN_MS = 86_400_000;
/** So many failed runs of one workflow are no passing trouble. */
const FAILED_RUNS = 5;

/** Finished cold moves and resizes that wait for their confirmation since yesterday. */
export async function forgottenMoves(db: Db) {
  return db
    .selectFrom('migration')
    .innerJoin('server', 'server.id', 'migration.server_id')
    .leftJoin('host as source', 'source.id', 'migration.source_host_id')
    .select([
      'migration.id',
      'migration.updated_at',
      'migration.created_at',
      'server.id as server_id',
      'server.name',
      'source.name as source',
    ])
    .where('migration.status', '=', 'finished')
    .where('migration.finished_at', 'is', null)
    .where('migration.updated_at', '<', new Date(Date.now() - FORGOTTEN_MS))
    .execute();
}

export async function forgottenResizes(db: Db): Promise<readonly Problem[]> {
  return (await forgottenMoves(db)).map((row) => ({
    kind: 'forgotten-resize',
    subject: { type: 'server', id: row.server_id, name: row.name },
    sentence: `${row.name} waits in Verify Resize, and ${row.source ?? 'its source'} keeps its disk and its room.`,
    evidence: [`migration ${row.id} has been finished since ${(row.updated_at ?? row.created_at).toISOString()}`],
    since: (row.updated_at ?? row.created_at).toISOString(),
    action: {
      sentence: 'Confirm it, if the guest is well where it is; reverting is the other answer.',
      request: { service: 'compute', method: 'POST', path: `/servers/${row.server_id}/action`, body: { confirmResize: null } },
    },
  }));
}

/** Room that is held for a move that has ended, or for a server that is gone or elsewhere. There is none unless the ledger is wrong. */
export async function leakedClaims(db: Db): Promise<readonly Problem[]> {
  const { rows } = await sql<{ consumer: string; type: string; server: string; name: string; host: string; why: string; since: Date }>`
    select a.consumer_id as consumer, a.consumer_type as type, a.server_id as server, s.name, h.name as host, a.created_at as since,
      case when s.deleted_at is not null then 'the server is deleted'
        when a.consumer_type = 'migration' then 'its migration has ended'
        else 'the server is on another host and nothing moves it' end as why
    from allocation a join server s on s.id = a.server_id join host h on h.id = a.host_id
    where s.deleted_at is not null
      or (a.consumer_type = 'migration' and not exists (select from migration m where m.id = a.consumer_id and m.finished_at is null))
      or (a.consumer_type = 'server' and s.host_id is not null and s.host_id <> a.host_id and not exists (select from migration m where m.server_id = s.id and m.finished_at is null))
    order by a.created_at limit 1000`.execute(db);
  return rows.map((row) => ({
    kind: 'leaked-claim',
    subject: { type: 'server', id: row.server, name: row.name },
    sentence: `Room on ${row.host} is held for ${row.name}, although ${row.why}.`,
    evidence: [`claim of ${row.type} ${row.consumer} on ${row.host}`],
    since: row.since.toISOString(),
    action: nothingToCall(
      'It costs room and nothing else. A claim is never taken away by hand while anything of the server may run there: report it.',
    ),
  }));
}

/** Hosts whose agents do not answer and that nobody has fenced. */
export async function silentHosts(db: Db): Promise<readonly Problem[]> {
  const rows = await db
    .selectFrom('host')
    .leftJoin('server', (join) => join.onRef('server.host_id', '=', 'host.id').on('server.deleted_at', 'is', null))
    .select(['host.id', 'host.name', 'host.last_seen_at'])
    .select((eb) => eb.fn.count<number>('server.id').as('servers'))
    .where('host.deleted_at', 'is', null)
    .where('host.reachable', '=', false)
    .where('host.fenced_at', 'is', null)
    .groupBy('host.id')
    .orderBy('host.name')
    .execute();
  return rows.map((row) => ({
    kind: 'silent-host',
    subject: { type: 'host', id: row.id, name: row.name },
    sentence: `Host ${row.name} is not heard from; ${row.servers} servers are there by their records, and may well run.`,
    evidence: [row.last_seen_at === null ? 'never heard from' : `last heard from ${row.last_seen_at.toISOString()}`],
    since: row.last_seen_at?.toISOString() ?? null,
    action: nothingToCall(
      `Look at the host: an agent that does not answer is not a dead host. Only when it is certainly off: fence it, then evacuate what was there.`,
    ),
  }));
}

/** Work that has failed again and again, and is tried again. */
export async function failingWorkflows(db: Db): Promise<readonly Problem[]> {
  const rows = await db
    .selectFrom('workflow')
    .leftJoin('migration', 'migration.id', 'workflow.subject_id')
    .leftJoin('server', (join) =>
      join.on((eb) => eb.or([eb('server.id', '=', eb.ref('workflow.subject_id')), eb('server.id', '=', eb.ref('migration.server_id'))])),
    )
    .select(['workflow.kind', 'workflow.subject_id', 'workflow.attempts', 'workflow.last_error', 'workflow.created_at'])
    .select(['server.id as server_id', 'server.name'])
    .where('workflow.finished_at', 'is', null)
    .where('workflow.attempts', '>=', FAILED_RUNS)
    .where('workflow.last_error', 'is not', null)
    .execute();
  return rows.map((row) => ({
    kind: 'failing-workflow',
    subject: { type: 'server', id: row.server_id ?? row.subject_id, name: row.name ?? row.subject_id },
    sentence: `The work "${row.kind}" on ${row.name ?? row.subject_id} has failed ${row.attempts} times and is tried again.`,
    evidence: [row.last_error?.split('\n')[0] ?? ''],
    since: row.created_at.toISOString(),
    action: nothingToCall('Nothing is lost by waiting: it goes on where it stands once the cause is gone. The cause is above.'),
  }));
}
