import { GodwitError } from '@godwit/domain/errors';
import { as, asEpoch, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import type { Agents } from '../agents/agents.ts';
import type { ReportedRelease } from '../agents/cluster-service.ts';
import { type HostWatcher, startHostWatcher } from '../agents/host-watcher.ts';
import type { ResolvedConfig } from '../config/load-config.ts';
import { fenceHost } from '../hosts/fence-host.ts';
import type { Metrics } from '../metrics.ts';
import { startPruningHostChanges } from '../scheduling/prune-host-changes.ts';
import { createWarmSnapshot } from '../scheduling/warm-snapshot.ts';
import type { Database } from '../store/database.ts';
import { later } from '../store/sparing-pool.ts';
import { acceptAbort } from './accept/abort-migration.ts';
import { acceptBandwidth, acceptLinkBandwidth } from './accept/change-bandwidth.ts';
import { acceptAttach, acceptDetach } from './accept/change-interfaces.ts';
import { acceptPolicyChange } from './accept/change-policy.ts';
import { acceptConfirmResize } from './accept/confirm-resize.ts';
import { acceptCreate } from './accept/create-servers.ts';
import { acceptDelete } from './accept/delete-server.ts';
import { acceptForceComplete } from './accept/force-complete.ts';
import { acceptLiveMigrate } from './accept/live-migrate.ts';
import { acceptMigrate } from './accept/migrate.ts';
import { acceptPower } from './accept/power-action.ts';
import { acceptRebuild } from './accept/rebuild.ts';
import { acceptRescue, acceptUnrescue } from './accept/rescue.ts';
import { acceptResize } from './accept/resize.ts';
import { acceptRevertResize } from './accept/revert-resize.ts';
import { acceptScale } from './accept/scale.ts';
import { acceptOffload, acceptShelve } from './accept/shelve.ts';
import { acceptSnapshot } from './accept/snapshot.ts';
import { acceptUnshelve } from './accept/unshelve.ts';
import { startAutoConfirm } from './cold-migrate/auto-confirm.ts';
import { coldMigrate } from './cold-migrate/cold-migrate.ts';
import { countEnds, type WrittenEnd } from './count-ends.ts';
import { readCustody, stepCustody } from './custody/custody-store.ts';
import { recoverIfRestored } from './custody/database-restored.ts';
import { acceptEvacuate } from './evacuate/accept-evacuate.ts';
import { evacuateServer } from './evacuate/evacuate-server.ts';
import { createWorkflows, enqueue } from './executor.ts';
import { factListener } from './facts/note-facts.ts';
import { fleetOperation } from './fleet/fleet-operation.ts';
import { type FleetOperations, fleetOperations } from './fleet/fleet-operations.ts';
import { liveMigrate } from './live-migrate/live-migrate.ts';
import { syncGuestTime } from './live-migrate/sync-guest-time.ts';
import type { ServerOperations } from './operations.ts';
import type { WorkflowHandler, WorkflowKind } from './port.ts';
import { startAutoOffload } from './server/auto-offload.ts';
import { changeInterfaces } from './server/change-interfaces.ts';
import { createServer } from './server/create-server.ts';
import { deleteServer } from './server/delete-server.ts';
import { powerServer } from './server/power-server.ts';
import { rebuildServer } from './server/rebuild-server.ts';
import { rescueServer } from './server/rescue-server.ts';
import { scaleServer } from './server/scale-server.ts';
import { settleServer } from './server/settle-server.ts';
import { shelveServer } from './server/shelve-server.ts';
import { snapshotServer } from './server/snapshot-server.ts';
import { unshelveServer } from './server/unshelve-server.ts';
import type { WorkflowContext } from './workflow-context.ts';

export type EngineParts = {
  readonly config: Pick<ResolvedConfig, 'executorName' | 'limits' | 'cpuAllocationRatio' | 'ramAllocationRatio' | 'diskAllocationRatio'> &
    Partial<Pick<ResolvedConfig, 'resizeConfirmWindowSeconds' | 'shelvedOffloadSeconds' | 'networkSwitch' | 'imageDir'>>;
  readonly database: Database;
  readonly agents: Agents;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** See WorkflowContext; only tests give one. */
  readonly faultPoint?: WorkflowContext['faultPoint'];
  /** Tests shorten these. */
  readonly interfacePatienceMs?: number;
  readonly heartbeatMs?: number;
  readonly deadAfterMs?: number;
};

/** The running workflows of one controller, and what the API asks of them. */
export type Engine = {
  readonly executorId: string;
  readonly operations: ServerOperations;
  readonly fleet: FleetOperations;
  readonly hostChanged: (host: HostId) => void;
  readonly releaseReported: (from: HostId, release: ReportedRelease) => Promise<void>;
  /** True when this controller has nothing in progress. */
  readonly idle: (kind?: WorkflowKind) => boolean;
  readonly stop: () => Promise<void>;
};

/** Every workflow, by kind: the index of what the controller does durably. */
const handlers: Readonly<Record<WorkflowKind, (context: WorkflowContext, run: Parameters<WorkflowHandler>[0]) => Promise<void>>> = {
  'create-server': createServer,
  'delete-server': deleteServer,
  'power-server': powerServer,
  'rebuild-server': rebuildServer,
  'snapshot-server': snapshotServer,
  'shelve-server': shelveServer,
  'unshelve-server': unshelveServer,
  'rescue-server': rescueServer,
  'change-interfaces': changeInterfaces,
  'scale-server': scaleServer,
  'live-migrate': liveMigrate,
  'sync-guest-time': syncGuestTime,
  'cold-migrate': coldMigrate,
  'settle-server': settleServer,
  'fleet-operation': fleetOperation,
  'evacuate-server': evacuateServer,
};

/** Of these a thousand may be asked for at once: they let requests go first. */
const givesWay: ReadonlySet<WorkflowKind> = new Set(['create-server']);

/** Starts executing workflows and watching hosts. What other controllers left unfinished is continued. */
export async function startWorkflowEngine(parts: EngineParts): Promise<Engine> {
  const { database, log, config } = parts;
  const { db } = database;
  const counting = async (work: (wroteEnd: WorkflowContext['wroteEnd']) => Promise<void>): Promise<void> => {
    const ends: WrittenEnd[] = [];
    try {
      await work((end) => ends.push(end));
    } finally {
      // A count that is lost must not make a run that has done its work run again.
      await countEnds(db, parts.metrics, ends).catch((error: unknown) => log.warn({ err: error }, 'ended migrations were not counted'));
    }
  };
  const bound = Object.fromEntries(
    Object.entries(handlers).map(
      ([kind, handler]) =>
        [
          kind,
          (run) =>
            counting((wroteEnd) => handler({ ...context, wroteEnd, ...(givesWay.has(run.kind) && { db: database.givingWay }) }, run)),
        ] satisfies [string, WorkflowHandler],
    ),
  ) as Record<WorkflowKind, WorkflowHandler>;
  const workflows = createWorkflows(database, {
    name: config.executorName,
    log,
    handlers: bound,
    // What was lost may have been the server: another one took over, perhaps without its last commits.
    lookAtDatabase: () => recoverIfRestored(db, { enqueue }, log),
    ...(parts.heartbeatMs === undefined ? {} : { heartbeatMs: parts.heartbeatMs }),
    ...(parts.deadAfterMs === undefined ? {} : { deadAfterMs: parts.deadAfterMs }),
  });
  const context: WorkflowContext = {
    db: database.background,
    agents: parts.agents,
    config,
    metrics: parts.metrics,
    log,
    hosts: createWarmSnapshot(config),
    workflows,
    wroteEnd: () => {
      throw new Error('a migration is ended by a run alone');
    },
    interfacePatienceMs: parts.interfacePatienceMs ?? 60_000,
    faultPoint: parts.faultPoint ?? (() => {}),
  };
  await workflows.start();
  const watcher: HostWatcher = startHostWatcher({
    db,
    agents: parts.agents,
    metrics: parts.metrics,
    log,
    executorId: workflows.executorId,
    listener: factListener(context),
  });
  const stopPruning = startPruningHostChanges(db, log);
  const autoConfirm = startAutoConfirm(context, (config.resizeConfirmWindowSeconds ?? 0) * 1_000);
  const offloadSeconds = config.shelvedOffloadSeconds ?? 0;
  const autoOffload = startAutoOffload(context, offloadSeconds * 1_000);
  return {
    executorId: workflows.executorId,
    operations: {
      create: (caller, request) => acceptCreate(db, workflows, caller, request),
      delete: (caller, server) => acceptDelete(db, workflows, caller, server),
      start: (caller, server) => acceptPower(db, workflows, caller, server, 'start'),
      stop: (caller, server) => acceptPower(db, workflows, caller, server, 'stop'),
      pause: (caller, server) => acceptPower(db, workflows, caller, server, 'pause'),
      unpause: (caller, server) => acceptPower(db, workflows, caller, server, 'unpause'),
      suspend: (caller, server) => acceptPower(db, workflows, caller, server, 'suspend'),
      resume: (caller, server) => acceptPower(db, workflows, caller, server, 'resume'),
      reboot: (caller, server, type) => acceptPower(db, workflows, caller, server, type === 'HARD' ? 'reboot-hard' : 'reboot-soft'),
      liveMigrate: (caller, server, request) => acceptLiveMigrate(db, workflows, config, caller, server, request),
      migrate: (caller, server, request) => acceptMigrate(db, workflows, caller, server, request),
      resize: (caller, server, request) => acceptResize(db, workflows, caller, server, request),
      confirmResize: (caller, server) => acceptConfirmResize(db, workflows, caller, server),
      revertResize: (caller, server) => acceptRevertResize(db, workflows, caller, server),
      rebuild: (caller, server, request) => acceptRebuild(db, workflows, caller, server, request),
      rescue: (caller, server, imageId) => acceptRescue(db, workflows, caller, server, imageId),
      unrescue: (caller, server) => acceptUnrescue(db, workflows, caller, server),
      snapshot: (caller, server, request) => acceptSnapshot(db, workflows, caller, server, request),
      shelve: (caller, server) => acceptShelve(db, workflows, offloadSeconds, caller, server),
      shelveOffload: (caller, server) => acceptOffload(db, workflows, caller, server),
      unshelve: (caller, server, request) => acceptUnshelve(db, workflows, caller, server, request),
      attachInterface: (caller, server, request) => acceptAttach(db, workflows, caller, server, request),
      detachInterface: (caller, server, portId) => acceptDetach(db, workflows, caller, server, portId),
      scale: (caller, server, request) => acceptScale(db, workflows, config, caller, server, request),
      evacuate: (caller, server, request) => acceptEvacuate(db, workflows, caller, server, request),
      abortMigration: (caller, migration) => acceptAbort(db, workflows, caller, migration),
      forceComplete: (caller, migration) => acceptForceComplete(db, workflows, caller, migration),
      capMigration: (migration, bytes) => acceptBandwidth(db, workflows, migration, bytes),
      changePolicy: (migration, change) => acceptPolicyChange(db, workflows, migration, change),
      capLink: (host, bytes) => acceptLinkBandwidth(db, workflows, host, bytes),
      fenceHost: (caller, name) => fenceHost(db, workflows, caller, name),
    },
    fleet: fleetOperations(context),
    hostChanged: (host) => watcher.changed(host),
    releaseReported: (from, release) => noteRelease(context, from, release),
    idle: (kind) => workflows.idle(kind),
    stop: async () => {
      stopPruning();
      await autoConfirm.stop();
      await autoOffload.stop();
      await watcher.stop();
      await workflows.stop();
    },
  };
}

/** Keeps a release that the source repeats to us, so that it can be relayed even when the source is gone; the move's executor looks again. A fact, not an order: no fence is asked for. */
async function noteRelease(context: WorkflowContext, from: HostId, release: ReportedRelease): Promise<void> {
  const serverId = as<ServerId>(release.serverId);
  await context.db.transaction().execute(async (tx) => {
    // Server before migration: the order in which everybody locks them.
    const row = await readCustody(tx, serverId, true);
    const move = await tx
      .selectFrom('migration')
      .select(['id', 'source_host_id', 'destination_host_id', 'epoch_to'])
      .where('id', '=', release.migrationId)
      .where('server_id', '=', serverId)
      .executeTakeFirst();
    const valid =
      move !== undefined &&
      move.source_host_id === from &&
      move.destination_host_id === release.destinationHostId &&
      move.epoch_to === release.epoch;
    if (!valid) throw new GodwitError('Conflict', 'the release names no migration of this host');
    const epoch = asEpoch(release.epoch);
    const message = {
      kind: 'released',
      release: { migrationId: as<MigrationId>(move.id), source: from, destination: as<HostId>(release.destinationHostId), epoch },
    } as const;
    await stepCustody(tx, serverId, row.fence, [{ kind: 'heard', from, message }], row);
    const noted = tx
      .updateTable('migration')
      .set({ release: JSON.stringify({ stoppedAtMs: release.stoppedAtMs, completedAtMs: release.completedAtMs }) })
      .where('id', '=', move.id);
    await sql`${later}${noted}`.execute(tx);
    await context.workflows.wake(tx, move.id);
  });
}
