import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId } from '@godwit/domain/ids';
import { redact, redactLine } from '@godwit/domain/redact';
import { godwitVersion } from '@godwit/domain/version';
import { readRecentLog } from '@godwit/telemetry/recent-log';
import { agentFailure } from '../../agents/agent-error.ts';
import type { AppContext } from '../../app-context.ts';
import { auditView } from '../../audit/audit-view.ts';
import { recentLogFile } from '../../log.ts';
import type { Db } from '../../store/database.ts';
import { readQueue } from '../../workflows/live-migrate/queue.ts';
import { migrationSamples } from './migration-samples.ts';
import { migrationView } from './migration-view.ts';
import { migrationRows } from './migrations.ts';
import { readWaysOut } from './ways-out.ts';

const ASK_MS = 10_000;
const EVENTS = 1_000;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export type Log = { readonly of: string; readonly name: string; readonly lines: readonly string[]; readonly cut: boolean };

/**
 * All that is known of a migration (its id, or the number that the compute API gives it) or of a request (`req-…`): records with timeline and verdicts, action log, events, audit entries, this controller's log and
 * those of the agents and QEMUs of the hosts concerned, with every secret removed. A host that does not answer is named in `missing`. Throws NotFound when nobody knows the id.
 */
export async function collectBundle(context: Pick<AppContext, 'db' | 'agents' | 'config'>, id: string): Promise<object> {
  const { db, agents, config } = context;
  const migrations = await migrationsOf(db, id);
  const requestIds = [...new Set([...(id.startsWith('req-') ? [id] : []), ...migrations.map((row) => row.request_id)])];
  const actions =
    requestIds.length === 0
      ? []
      : await db.selectFrom('instance_action').selectAll().where('request_id', 'in', requestIds).orderBy('id').execute();
  const serverIds = [...new Set([...migrations.map((row) => row.server_id), ...actions.map((row) => row.server_id)])];
  const words = [...requestIds, ...migrations.map((row) => row.id)];
  const own = await readRecentLog(recentLogFile(config), words);
  const logs: Log[] = [{ of: `controller ${config.executorName}`, name: 'controller', ...own }];
  const audit = await auditOf(db, words);
  if (migrations.length === 0 && actions.length === 0 && audit.length === 0 && own.lines.length === 0)
    throw new GodwitError('NotFound', `No migration and no request is known by ${id.slice(0, 120)}.`);
  const hosts = await hostsOf(db, migrations, serverIds);
  const missing: { readonly host: string; readonly reason: string }[] = [];
  await Promise.all(
    hosts.map(async (host) => {
      try {
        const client = await agents.client(as<HostId>(host.id));
        const asked = serverIds.length === 0 ? [''] : serverIds;
        const answers = await Promise.all(
          asked.map((serverId, index) => client.readLogs({ words: index === 0 ? words : [], serverId }, { timeoutMs: ASK_MS })),
        );
        for (const { name, lines, cut } of answers.flatMap(({ logs: some }) => some))
          if (lines.length > 0) logs.push({ of: host.name, name, lines, cut });
      } catch (error) {
        missing.push({ host: host.name, reason: agentFailure(error).message });
      }
    }),
  );
  const [queue, servers, events, workflows, actionEvents] = await Promise.all([
    readQueue(db),
    serversOf(db, serverIds),
    eventsOf(db, [...serverIds, ...migrations.map((row) => row.id)], migrations),
    workflowsOf(db, [...serverIds, ...migrations.map((row) => row.id)]),
    actionEventsOf(
      db,
      actions.map((row) => row.id),
    ),
  ]);
  const records = await Promise.all(
    migrations.map(async (row) => ({
      ...migrationView(row, queue),
      waysOut: await readWaysOut(db, row),
      samples: await migrationSamples(db, row),
    })),
  );
  return {
    ...(redact({
      id,
      collectedAt: new Date().toISOString(),
      version: godwitVersion,
      requestIds,
      migrations: records,
      servers,
      actions: actions.map((action) => ({ ...action, events: actionEvents.filter((event) => event.action_id === action.id) })),
      workflows,
      events,
      audit,
    }) as object),
    logs: logs.map((log) => ({ ...log, lines: log.lines.map(redactLine) })),
    missing,
  };
}

async function migrationsOf(db: Db, id: string) {
  const rows = migrationRows(db).orderBy('migration.api_id');
  if (uuid.test(id)) return rows.where('migration.id', '=', id).execute();
  if (/^\d{1,9}$/.test(id)) return rows.where('migration.api_id', '=', Number(id)).execute();
  if (id.startsWith('req-')) return rows.where('migration.request_id', '=', id).execute();
  throw new GodwitError('BadRequest', `${id.slice(0, 120)} is neither the id of a migration nor of a request (req-…).`);
}

type Moves = Awaited<ReturnType<typeof migrationsOf>>;

/** Every host that the moves touched, also those that were tried and left, and where the servers are now. */
async function hostsOf(db: Db, moves: Moves, serverIds: readonly string[]) {
  const touched = moves.flatMap((row) => [row.source_host_id, row.destination_host_id, ...row.attempts.map((one) => one.hostId)]);
  const here = serverIds.length === 0 ? [] : await db.selectFrom('server').select('host_id').where('id', 'in', serverIds).execute();
  const ids = [...new Set([...touched, ...here.map((row) => row.host_id)])].filter((one) => one !== null);
  return ids.length === 0
    ? []
    : db.selectFrom('host').select(['id', 'name']).where('id', 'in', ids).where('deleted_at', 'is', null).orderBy('name').execute();
}

async function serversOf(db: Db, ids: readonly string[]) {
  if (ids.length === 0) return [];
  return db
    .selectFrom('server')
    .leftJoin('host', 'host.id', 'server.host_id')
    .select([
      'server.id',
      'server.name',
      'server.vm_state',
      'server.task_state',
      'server.power_state',
      'server.fault',
      'server.epoch',
      'server.highest_epoch',
      'server.fence',
      'server.custody',
    ])
    .select(['server.flavor', 'server.machine_type', 'server.cpu_model', 'server.qemu_version', 'host.name as host'])
    .where('server.id', 'in', ids)
    .execute();
}

async function eventsOf(db: Db, subjects: readonly string[], moves: Moves) {
  const since = moves[0]?.created_at;
  if (subjects.length === 0 || since === undefined) return [];
  return db
    .selectFrom('event')
    .select(['id', 'at', 'kind', 'subject_id', 'data'])
    .where('subject_id', 'in', subjects)
    .where('at', '>=', since)
    .orderBy('id')
    .limit(EVENTS)
    .execute();
}

async function workflowsOf(db: Db, subjects: readonly string[]) {
  if (subjects.length === 0) return [];
  return db
    .selectFrom('workflow')
    .select(['id', 'kind', 'subject_id', 'executor_id', 'fence', 'attempts', 'last_error', 'created_at', 'finished_at', 'request_id'])
    .where('subject_id', 'in', subjects)
    .orderBy('created_at')
    .execute();
}

async function actionEventsOf(db: Db, actionIds: readonly number[]) {
  if (actionIds.length === 0) return [];
  return db
    .selectFrom('instance_action_event as e')
    .leftJoin('host', 'host.id', 'e.host_id')
    .selectAll('e')
    .select('host.name as host')
    .where('e.action_id', 'in', actionIds)
    .orderBy('e.id')
    .execute();
}

async function auditOf(db: Db, words: readonly string[]) {
  const requests = words.filter((word) => word.startsWith('req-'));
  if (requests.length === 0) return [];
  return (await db.selectFrom('audit_entry').selectAll().where('request_id', 'in', requests).orderBy('id').limit(EVENTS).execute()).map(
    auditView,
  );
}
