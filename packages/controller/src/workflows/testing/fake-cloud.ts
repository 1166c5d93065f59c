import { randomUUID } from 'node:crypto';
import { as, type ServerId } from '@godwit/domain/ids';
import pino from 'pino';
import { createMetrics, type Metrics } from '../../metrics.ts';
import type { Database } from '../../store/database.ts';
import { insertFlavor, insertImage } from '../../store/testing/rows.ts';
import { type Engine, startWorkflowEngine } from '../engine.ts';
import type { Caller } from '../operations.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { type FakeHost, fakeAgents, fakeFacts, fakeHost } from './fake-agents.ts';

/** Hosts in memory, a database, and any number of controllers over them. */
export type FakeCloud = {
  readonly hosts: readonly FakeHost[];
  readonly admin: Caller;
  readonly flavorId: string;
  readonly imageId: string;
  readonly controller: (
    name: string,
    faultPoint?: WorkflowContext['faultPoint'],
    metrics?: Metrics,
    on?: Database,
    resizeConfirmWindowSeconds?: number,
    shelvedOffloadSeconds?: number,
    interfacePatienceMs?: number,
  ) => Promise<Engine>;
  /** A server, active on the named host; throws with its fault when it `ends` otherwise than it should. */
  readonly server: (engine: Engine, host?: string, ends?: 'active' | 'error') => Promise<ServerId>;
  readonly stop: () => Promise<void>;
};

/** `preparedAhead`: see the controller's limits; none, so that a test sees a waiting move wait. `heartbeatMs`: how often a controller looks for work that nobody told it of. */
export async function fakeCloud(
  database: Database,
  names: readonly string[] = ['node1', 'node2', 'node3'],
  preparedAhead = 0,
  imageDir?: string,
  heartbeatMs = 50,
): Promise<FakeCloud> {
  const { db } = database;
  const hosts = names.map((name) => fakeHost(randomUUID(), name));
  for (const host of hosts) {
    await db
      .insertInto('host')
      .values({
        id: host.id,
        name: host.name,
        hypervisor_type: 'QEMU',
        address: '127.0.0.1',
        rpc_port: 1,
        facts: JSON.stringify(fakeFacts(host.name)),
        reachable: true,
        boot_id: host.bootId,
        // Nobody watches fake hosts: they count as seen for as long as a test runs.
        last_seen_at: new Date(Date.now() + 3_600_000),
      })
      .execute();
  }
  const flavorId = await insertFlavor(db);
  const imageId = await insertImage(db);
  const engines: Engine[] = [];
  const admin: Caller = { userId: 'admin', projectId: 'p1', roles: ['admin'], isAdmin: true, requestId: 'req-test' };
  return {
    hosts,
    admin,
    flavorId,
    imageId,
    controller: async (
      name,
      faultPoint,
      metrics = createMetrics({ process: false }),
      on = database,
      resizeConfirmWindowSeconds = 0,
      shelvedOffloadSeconds = 0,
      interfacePatienceMs?: number,
    ) => {
      const engine = await startWorkflowEngine({
        config: {
          executorName: name,
          limits: { outgoingPerHost: 1, incomingPerHost: 1, total: 100, preparedAhead },
          cpuAllocationRatio: 4,
          ramAllocationRatio: 1,
          diskAllocationRatio: 1,
          resizeConfirmWindowSeconds,
          shelvedOffloadSeconds,
          ...(imageDir === undefined ? {} : { imageDir }),
        },
        database: on,
        agents: fakeAgents(hosts),
        metrics,
        log: pino({ level: process.env.GODWIT_TEST_LOG ?? 'silent' }),
        heartbeatMs,
        deadAfterMs: 8 * heartbeatMs,
        ...(faultPoint === undefined ? {} : { faultPoint }),
        ...(interfacePatienceMs === undefined ? {} : { interfacePatienceMs }),
      });
      engines.push(engine);
      return engine;
    },
    server: async (engine, host, ends = 'active') => {
      const { serverIds } = await engine.operations.create(admin, {
        name: 's',
        description: null,
        imageId,
        flavorId,
        minCount: 1,
        maxCount: 1,
        networks: 'none',
        availabilityZone: null,
        host: host ?? null,
        metadata: {},
        tags: [],
        keyName: null,
        userData: null,
        configDrive: false,
        diskConfig: 'AUTO',
        hints: {},
      });
      const id = as<ServerId>(serverIds[0] ?? '');
      const made = db.selectFrom('server').select(['vm_state', 'fault']).where('id', '=', id);
      await until(async () => (await made.executeTakeFirstOrThrow()).vm_state !== 'building');
      const { vm_state, fault } = await made.executeTakeFirstOrThrow();
      if (vm_state !== ends) throw new Error(`the server is ${vm_state}: ${JSON.stringify(fault)}`);
      return id;
    },
    stop: async () => {
      await Promise.all(engines.map((engine) => engine.stop()));
    },
  };
}

/**
 * A host that a controller watches answers nothing any more, and its row says so as the watcher writes it some seconds later. The watcher looks twice a second and writes each answer down: only
 * when it was refused once is no earlier sign of life under way.
 */
export async function fallSilent({ db }: Database, host: FakeHost): Promise<void> {
  host.down = true;
  const before = host.unanswered;
  await until(async () => host.unanswered > before);
  await db
    .updateTable('host')
    .set({ reachable: false, last_seen_at: new Date(Date.now() - 10_000) })
    .where('id', '=', host.id)
    .execute();
}

/** A silent host answers again, and its row says so. */
export async function answerAgain({ db }: Database, host: FakeHost): Promise<void> {
  host.down = false;
  await until(async () => (await db.selectFrom('host').select('reachable').where('id', '=', host.id).executeTakeFirstOrThrow()).reachable);
}

/** Waits until the condition holds; throws after `deadlineMs`. */
export async function until(condition: () => Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not so within ${deadlineMs} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
