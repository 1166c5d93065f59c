import { randomUUID } from 'node:crypto';
import type { HostFacts } from '@godwit/domain/host';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import type { FastifyInstance } from 'fastify';
import type { Insertable, Updateable } from 'kysely';
import type { AgentClient, Agents } from '../../agents/agents.ts';
import { fenceHost } from '../../hosts/fence-host.ts';
import { releasePorts } from '../../networks/allocate-ports.ts';
import type { MigrationTable, ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { insertFlavor, insertImage } from '../../store/testing/rows.ts';
import { acceptAbort } from '../../workflows/accept/abort-migration.ts';
import { acceptBandwidth, acceptLinkBandwidth } from '../../workflows/accept/change-bandwidth.ts';
import { acceptAttach, acceptDetach } from '../../workflows/accept/change-interfaces.ts';
import { acceptPolicyChange } from '../../workflows/accept/change-policy.ts';
import { acceptConfirmResize } from '../../workflows/accept/confirm-resize.ts';
import { acceptCreate } from '../../workflows/accept/create-servers.ts';
import { acceptDelete } from '../../workflows/accept/delete-server.ts';
import { acceptForceComplete } from '../../workflows/accept/force-complete.ts';
import { acceptLiveMigrate } from '../../workflows/accept/live-migrate.ts';
import { acceptMigrate } from '../../workflows/accept/migrate.ts';
import { acceptPower } from '../../workflows/accept/power-action.ts';
import { acceptRebuild } from '../../workflows/accept/rebuild.ts';
import { acceptRescue, acceptUnrescue } from '../../workflows/accept/rescue.ts';
import { acceptResize } from '../../workflows/accept/resize.ts';
import { acceptRevertResize } from '../../workflows/accept/revert-resize.ts';
import { acceptScale } from '../../workflows/accept/scale.ts';
import { acceptOffload, acceptShelve } from '../../workflows/accept/shelve.ts';
import { acceptSnapshot } from '../../workflows/accept/snapshot.ts';
import { acceptUnshelve } from '../../workflows/accept/unshelve.ts';
import { acceptEvacuate } from '../../workflows/evacuate/accept-evacuate.ts';
import type { ServerOperations } from '../../workflows/operations.ts';
import type { NewWorkflow, Workflows } from '../../workflows/port.ts';
import { beginEvent, finishEvent } from '../../workflows/record/actions.ts';
import type { ApiContext } from '../request-context.ts';
import { startTestApi, type TestApi, type TestUser } from '../test-api.ts';

/** What every guest of the test cloud has on its console. */
export const consoleText = 'one\ntwo\nthree\n';

/**
 * Two hosts, a bare metal one, an image, a flavor and a network, under the APIs with the real acceptance of every operation. Nothing is executed: what was
 * accepted stays as it was accepted, and `enqueued` holds what would be done.
 */
export type TestCloud = TestApi & {
  readonly db: Db;
  readonly enqueued: readonly NewWorkflow[];
  /** How an interface that is attached ends. */
  readonly attaching: Attaching;
  readonly hosts: { readonly node1: string; readonly node2: string; readonly metal1: string };
  readonly imageId: string;
  readonly flavorId: string;
  readonly networkId: string;
  /** A server of this user on node1, in this state. */
  readonly server: (owner: TestUser, change?: Updateable<ServerTable>) => Promise<string>;
  /** A migration of it from node1 to node2. */
  readonly migration: (
    serverId: string,
    change?: Partial<Insertable<MigrationTable>>,
  ) => Promise<{ readonly id: string; readonly apiId: number }>;
};

type Attaching = { end: 'done' | 'failed' | 'unknown' | Updateable<ServerTable> };

/** `more` registers further services of the same application. */
export async function startTestCloud(
  db: Db,
  more?: (app: FastifyInstance, context: ApiContext, workflows: Workflows) => Promise<void>,
): Promise<TestCloud> {
  const enqueued: NewWorkflow[] = [];
  const attaching: Attaching = { end: 'done' };
  const workflows = notingWorkflows(enqueued);
  const api = await startTestApi(db, {
    operations: acceptingOperations(db, workflows, attaching),
    agents: consoleAgents,
    ...(more === undefined ? {} : { more: (app, context) => more(app, context, workflows) }),
  });
  const host = async (name: string, facts: Partial<HostFacts> = {}): Promise<string> => {
    const { id } = await db
      .insertInto('host')
      .values({
        id: randomUUID(),
        name,
        hypervisor_type: facts.hypervisorType ?? 'QEMU',
        address: `10.0.0.${name.length}`,
        rpc_port: 1,
        facts: JSON.stringify(factsFixture(facts)),
        reachable: true,
        last_seen_at: new Date(Date.now() + 3_600_000),
        boot_id: randomUUID(),
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    return id;
  };
  const hosts = { node1: await host('node1'), node2: await host('node2'), metal1: await host('metal1', { hypervisorType: 'ironic' }) };
  const imageId = await insertImage(db);
  const flavorId = await insertFlavor(db);
  const networkId = randomUUID();
  await db.insertInto('network').values({ id: networkId, name: 'net', shared: true }).execute();
  const subnet_id = randomUUID();
  await db
    .insertInto('subnet')
    .values({
      id: subnet_id,
      network_id: networkId,
      cidr: '192.0.2.0/24',
      gateway: '192.0.2.1',
      pool_start: '192.0.2.10',
      pool_end: '192.0.2.250',
    })
    .execute();
  return {
    ...api,
    db,
    enqueued,
    attaching,
    hosts,
    imageId,
    flavorId,
    networkId,
    server: async (owner, change = {}) => {
      const answer = await api.call('POST', '/compute/v2.1/servers', {
        as: owner,
        body: { server: { name: 'vm', imageRef: imageId, flavorRef: flavorId, networks: [{ uuid: networkId }] } },
      });
      if (answer.statusCode !== 202) throw new Error(`create failed: ${answer.body}`);
      const { id } = answer.json<{ server: { id: string } }>().server;
      await db
        .updateTable('server')
        .set({
          vm_state: 'active',
          task_state: null,
          power_state: 1,
          host_id: hosts.node1,
          launched_at: new Date(),
          device_layout: 2,
          ...change,
        })
        .where('id', '=', id)
        .execute();
      return id;
    },
    migration: async (serverId, change = {}) => {
      const row = await db
        .insertInto('migration')
        .values({
          id: randomUUID(),
          server_id: serverId,
          type: 'live-migration',
          status: 'running',
          phase: 'copying',
          source_host_id: hosts.node1,
          destination_host_id: hosts.node2,
          previous_vm_state: 'active',
          memory_total_bytes: 1000,
          memory_processed_bytes: 400,
          memory_remaining_bytes: 600,
          user_id: api.admin.userId,
          project_id: api.admin.projectId,
          request_id: 'req-1',
          ...change,
        })
        .returning(['id', 'api_id'])
        .executeTakeFirstOrThrow();
      return { id: row.id, apiId: row.api_id };
    },
  };
}

/** Agents that can only be asked for a console. */
const consoleAgents: Agents = {
  client: async () => ({ readConsole: async () => ({ data: Buffer.from(consoleText) }) }) as unknown as AgentClient,
  forget: () => {},
  close: async () => {},
};

const notingWorkflows = (enqueued: NewWorkflow[]): Workflows => ({
  enqueue: async (_tx, workflow) => void enqueued.push(workflow),
  wakeHere: () => false,
  wake: async () => {},
  start: async () => {},
  stop: async () => {},
});

function acceptingOperations(db: Db, workflows: Workflows, attaching: Attaching): ServerOperations {
  return {
    create: (caller, request) => acceptCreate(db, workflows, caller, request),
    delete: (caller, server) => acceptDelete(db, workflows, caller, server),
    start: (caller, server) => acceptPower(db, workflows, caller, server, 'start'),
    stop: (caller, server) => acceptPower(db, workflows, caller, server, 'stop'),
    pause: (caller, server) => acceptPower(db, workflows, caller, server, 'pause'),
    unpause: (caller, server) => acceptPower(db, workflows, caller, server, 'unpause'),
    suspend: (caller, server) => acceptPower(db, workflows, caller, server, 'suspend'),
    resume: (caller, server) => acceptPower(db, workflows, caller, server, 'resume'),
    reboot: (caller, server, type) => acceptPower(db, workflows, caller, server, type === 'HARD' ? 'reboot-hard' : 'reboot-soft'),
    liveMigrate: (caller, server, request) =>
      acceptLiveMigrate(db, workflows, { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 }, caller, server, request),
    migrate: (caller, server, request) => acceptMigrate(db, workflows, caller, server, request),
    resize: (caller, server, request) => acceptResize(db, workflows, caller, server, request),
    confirmResize: (caller, server) => acceptConfirmResize(db, workflows, caller, server),
    revertResize: (caller, server) => acceptRevertResize(db, workflows, caller, server),
    rebuild: (caller, server, request) => acceptRebuild(db, workflows, caller, server, request),
    rescue: (caller, server, imageId) => acceptRescue(db, workflows, caller, server, imageId),
    unrescue: (caller, server) => acceptUnrescue(db, workflows, caller, server),
    snapshot: (caller, server, request) => acceptSnapshot(db, workflows, caller, server, request),
    shelve: (caller, server) => acceptShelve(db, workflows, 0, caller, server),
    shelveOffload: (caller, server) => acceptOffload(db, workflows, caller, server),
    unshelve: (caller, server, request) => acceptUnshelve(db, workflows, caller, server, request),
    // The host does it at once: the answer of the route waits for that.
    attachInterface: async (caller, server, request) => {
      const accepted = await acceptAttach(db, workflows, caller, server, request);
      const { end } = attaching;
      const event = 'compute_attach_interface';
      await db.transaction().execute(async (tx) => {
        await beginEvent(tx, accepted.actionId, event, null);
        const ends = typeof end === 'string';
        if (ends) await finishEvent(tx, accepted.actionId, event, end === 'done' ? { ok: true } : { ok: false, details: 'no tap' });
        if (end === 'failed') await releasePorts(tx, server, accepted.portId);
        await tx
          .updateTable('server')
          .set(ends ? { task_state: null } : end)
          .where('id', '=', server)
          .execute();
      });
      return accepted;
    },
    scale: (caller, server, request) =>
      acceptScale(db, workflows, { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 }, caller, server, request),
    detachInterface: (caller, server, portId) => acceptDetach(db, workflows, caller, server, portId),
    evacuate: (caller, server, request) => acceptEvacuate(db, workflows, caller, server, request),
    abortMigration: (caller, migration) => acceptAbort(db, workflows, caller, migration),
    forceComplete: (caller, migration) => acceptForceComplete(db, workflows, caller, migration),
    capMigration: (migration, bytes) => acceptBandwidth(db, workflows, migration, bytes),
    changePolicy: (migration, change) => acceptPolicyChange(db, workflows, migration, change),
    capLink: (host, bytes) => acceptLinkBandwidth(db, workflows, host, bytes),
    fenceHost: (caller, name) => fenceHost(db, workflows, caller, name),
  };
}
