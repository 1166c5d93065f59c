import type { BalanceAdvice, OperationAnswer, OperationSummary, Plan } from '@godwit/contract/schemas/godwit/fleet-answers';
import type { NewOperation, PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import type { OperationCommand } from '@godwit/domain/drain-plan/fleet-operation';
import type { Caller } from '../operations.ts';
import { acceptDrain } from './accept-drain.ts';
import { acceptEvacuation } from './accept-evacuation.ts';
import { acceptBulk, type FleetContext } from './accept-operation.ts';
import { acceptRestore } from './accept-restore.ts';
import { balanceAdvice } from './balance-advice.ts';
import { commandOperation, hostDone } from './command-operation.ts';
import { makePlan } from './make-plan.ts';
import { listOperations, operationView } from './operation-rows.ts';
import { planView } from './plan-view.ts';

export type OperationFilters = {
  readonly kind?: string | undefined;
  readonly state?: string | undefined;
  readonly host?: string | undefined;
  readonly limit: number;
};

/** What the API asks of fleet operations; the caller has been found to be an admin. Each throws GodwitError, nothing changed. */
export type FleetOperations = {
  readonly plan: (request: PlanRequest) => Promise<Plan>;
  /** Accepted, not done. */
  readonly begin: (caller: Caller, request: NewOperation) => Promise<OperationAnswer['operation']>;
  readonly command: (caller: Caller, id: string, command: OperationCommand) => Promise<OperationAnswer['operation']>;
  readonly hostDone: (id: string, host: string) => Promise<OperationAnswer['operation']>;
  readonly list: (filters: OperationFilters) => Promise<readonly OperationSummary[]>;
  readonly balance: () => Promise<BalanceAdvice>;
  readonly show: (id: string) => Promise<OperationAnswer['operation']>;
};

export function fleetOperations(context: FleetContext): FleetOperations {
  const { db, workflows } = context;
  return {
    plan: async (request) => planView(await makePlan(context, request)),
    begin: async (caller, request) => operationView(db, await accept(context, caller, request)),
    command: async (caller, id, command) => {
      await commandOperation(db, workflows, caller, id, command);
      return operationView(db, id);
    },
    hostDone: async (id, host) => {
      await hostDone(db, workflows, id, host);
      return operationView(db, id);
    },
    list: (filters) => listOperations(db, filters),
    balance: () => balanceAdvice(context),
    show: (id) => operationView(db, id),
  };
}

async function accept(context: FleetContext, caller: Caller, request: NewOperation): Promise<string> {
  switch (request.kind) {
    case 'bulk':
      return acceptBulk(context, caller, request);
    case 'drain':
    case 'maintenance':
    case 'rolling':
      return acceptDrain(context, caller, request);
    case 'restore':
      return acceptRestore(context, caller, request);
    case 'evacuate':
      return acceptEvacuation(context, caller, request);
  }
}
