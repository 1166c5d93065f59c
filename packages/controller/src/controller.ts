import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { startTracing } from '@godwit/telemetry/tracing';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { type AgentListener, startAgentListener } from './agents/agent-listener.ts';
import { createAgents } from './agents/agents.ts';
import { buildApp } from './app.ts';
import type { AppContext } from './app-context.ts';
import { ownCertificate } from './auth/own-certificate.ts';
import type { ResolvedConfig } from './config/load-config.ts';
import { startEventFeed } from './events/event-feed.ts';
import { imageFile } from './images/image-file.ts';
import { createMetrics } from './metrics.ts';
import { startPushingPolicies } from './networks/push-policies.ts';
import { listenPublicly } from './public-listener.ts';
import { type Database, openDatabase } from './store/database.ts';
import { keepPostgres } from './store/embedded/keep-postgres.ts';
import { ensurePostgres } from './store/embedded/postgres-server.ts';
import { migrate } from './store/migrate.ts';
import { startWebhook } from './webhook/webhook.ts';
import { startWorkflowEngine } from './workflows/engine.ts';
import { heldFaultPoint } from './workflows/held-fault-point.ts';

/** A controller that serves. */
export type Controller = {
  readonly context: AppContext;
  readonly app: FastifyInstance;
  readonly agentPort: number;
  /** Stops serving, hands unfinished work to other controllers, and closes everything but the embedded database, which stays. */
  readonly stop: () => Promise<void>;
};

/** Directory of the embedded server. */
export const postgresDirectory = (config: Pick<ResolvedConfig, 'stateDir'>): string => join(config.stateDir, 'postgres');

/** Opens the configured database, brought to the newest schema; starts or adopts the embedded server when none is configured. */
export async function openConfiguredDatabase(
  config: ResolvedConfig,
  log: Logger,
  onConnectionLost: () => void = () => {},
): Promise<Database> {
  let url = config.databaseUrl;
  if (url === null) {
    const server = await ensurePostgres({ directory: postgresDirectory(config) });
    log.info({ pid: server.pid, adopted: server.adopted }, 'the embedded PostgreSQL runs');
    url = server.url;
  }
  const ran = await migrate(url);
  if (ran.length > 0) log.info({ steps: ran }, 'the schema was brought up to date');
  const onConnectionError = (error: Error): void => {
    log.warn({ err: error }, 'a database connection was lost');
    onConnectionLost();
  };
  return openDatabase({ url, onConnectionError });
}

/**
 * Starts everything of one controller: database, workflows, the agents' listener, the public listener. When it throws, nothing of it is left running but the
 * embedded database.
 */
export async function startController(config: ResolvedConfig, log: Logger): Promise<Controller> {
  const closers: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse())
      await close().catch((error: unknown) => log.warn({ err: error }, 'something did not close cleanly'));
  };
  try {
    const kept = config.databaseUrl === null ? keepPostgres(postgresDirectory(config), log) : null;
    const database = await openConfiguredDatabase(config, log, kept?.connectionLost);
    closers.push(() => database.close());
    if (kept !== null) closers.push(() => kept.stop());
    const own = await ownCertificate(database.db, config.agentListen.names, log);
    closers.push(async () => own.stop());
    const events = await startEventFeed(database, log);
    closers.push(() => events.close());
    const metrics = createMetrics({ process: true, database: database.db });
    const agents = createAgents(database.db, own, (method) => metrics.agentCallsTotal.inc({ method }));
    closers.push(() => agents.close());
    const faultPoint = heldFaultPoint(process.env['GODWIT_FAULT_POINTS_DIR'], log);
    if (config.tracing !== null)
      closers.push(await startTracing(config.tracing.endpoint, 'godwit-controller', { 'service.instance.id': config.executorName }));
    const engine = await startWorkflowEngine({ config, database, agents, metrics, log, ...(faultPoint && { faultPoint }) });
    closers.push(() => engine.stop());
    const pusher = startPushingPolicies({
      db: database.background,
      log,
      executorId: `${config.executorName}:${randomUUID()}`,
      send: async (host, policy) => {
        await (await agents.network(host)).setPolicy({ policyJson: JSON.stringify(policy) }, { timeoutMs: 10_000 });
      },
    });
    closers.push(() => pusher.stop());
    const listener: AgentListener = await startAgentListener({
      db: database.db,
      log,
      own,
      listen: config.agentListen,
      imageFile: (imageId) => imageFile(database.db, config.imageDir, imageId),
      onHostChanged: (host) => {
        agents.forget(host);
        engine.hostChanged(host);
      },
      onRelease: (from, release) => engine.releaseReported(from, release),
    });
    closers.push(() => listener.close());
    const { webhook } = config;
    if (webhook !== null)
      closers.push(
        await startWebhook({ db: database.background, config: { ...config, webhook }, executorId: engine.executorId, metrics, log }),
      );
    const context: AppContext = {
      config,
      database,
      db: database.db,
      operations: engine.operations,
      fleet: engine.fleet,
      agents,
      events,
      metrics,
      log,
    };
    const app = await buildApp(context);
    closers.push(() => app.close());
    await listenPublicly(app, config);
    log.info({ listen: config.listen, agentPort: listener.port }, 'the controller serves');
    return { context, app, agentPort: listener.port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
