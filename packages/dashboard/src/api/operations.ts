import type { OperationAnswer, OperationItem, OperationSummary, Plan } from '@godwit/contract/schemas/godwit/fleet-answers';
import type { NewOperation, PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import type { OperationCommand } from '@godwit/domain/drain-plan/fleet-operation';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

export type { NewOperation, OperationItem, OperationSummary, Plan, PlanRequest };
export type Operation = OperationAnswer['operation'];

/** What would move where, in which order, and what cannot. Nothing moves, nothing is kept. */
export const planOf = (api: Api, request: PlanRequest) =>
  queryOptions({
    queryKey: ['plan', request],
    queryFn: async () => (await api.send<{ readonly plan: Plan }>('POST', '/godwit/v1/plans', request)).plan,
    // The cloud goes on while it is looked at; one row that is edited must not empty the others.
    staleTime: 0,
    gcTime: 60_000,
    placeholderData: (before: Plan | undefined) => before,
    refetchOnWindowFocus: false,
  });

/** Accepted: it begins. Answers its id. */
export async function beginOperation(api: Api, request: NewOperation): Promise<string> {
  return (await api.send<OperationAnswer>('POST', '/godwit/v1/operations', request)).operation.id;
}

export const operationList = (api: Api, filters: { readonly host?: string; readonly state?: string; readonly limit?: string }) =>
  queryOptions({
    queryKey: ['operation', 'list', filters],
    queryFn: async () =>
      (await api.get<{ readonly operations: readonly OperationSummary[] }>(`/godwit/v1/operations?${new URLSearchParams({ ...filters })}`))
        .operations,
  });

export const operationShow = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['operation', 'show', id],
    queryFn: async () => (await api.get<OperationAnswer>(`/godwit/v1/operations/${id}`)).operation,
  });

export async function commandOperation(api: Api, id: string, command: OperationCommand): Promise<void> {
  await api.send('POST', `/godwit/v1/operations/${id}/${command}`);
}

/** Rolling: the work on this host is done, it may be brought back. */
export async function hostDone(api: Api, id: string, host: string): Promise<void> {
  await api.send('POST', `/godwit/v1/operations/${id}/hosts/${encodeURIComponent(host)}/done`);
}
