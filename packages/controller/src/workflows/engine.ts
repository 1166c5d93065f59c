import { GodwitError } from '@godwit/domain/errors';
import type { HostId } from '@godwit/domain/ids';
import type { Logger } from 'pino';
import type { Agents } from '../agents/agents.ts';
import type { ReportedRelease } from '../agents/cluster-service.ts';
import type { ResolvedConfig } from '../config/load-config.ts';
import type { Metrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { createWorkflows } from './executor.ts';
import type { ServerOperations } from './operations.ts';
import type { WorkflowHandler } from './port.ts';

export type EngineParts = {
  readonly config: ResolvedConfig;
  readonly database: Database;
  readonly agents: Agents;
  readonly metrics: Metrics;
  readonly log: Logger;
};

export type Engine = {
  readonly operations: ServerOperations;
  readonly hostChanged: (host: HostId) => void;
  readonly releaseReported: (from: HostId, release: ReportedRelease) => Promise<void>;
  readonly stop: () => Promise<void>;
};

export async function startWorkflowEngine(parts: EngineParts): Promise<Engine> {
  const missing: WorkflowHandler = async (run) => {
    throw new GodwitError('NotImplemented', `${run.kind} is not here yet`);
  };
  const workflows = createWorkflows(parts.database, {
    name: parts.config.executorName,
    log: parts.log,
    handlers: { 'create-server': missing, 'delete-server': missing, 'power-server': missing, 'live-migrate': missing },
  });
  await workflows.start();
  const notYet = async (): Promise<never> => {
    throw new GodwitError('NotImplemented', 'this operation is not here yet');
  };
  return {
    operations: {
      create: notYet,
      delete: notYet,
      start: notYet,
      stop: notYet,
      pause: notYet,
      unpause: notYet,
      reboot: notYet,
      liveMigrate: notYet,
      abortMigration: notYet,
    },
    hostChanged: () => {},
    releaseReported: async () => {},
    stop: () => workflows.stop(),
  };
}
