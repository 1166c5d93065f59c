import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { Agent } from '@godwit/contract/gen/agent_pb';
import { receiveScope, withinScope } from '@godwit/telemetry/request-scope';
import { traced } from '@godwit/telemetry/tracing';
import type { RpcLog } from './rpc-server.ts';

/** What changes a guest, a move or a disk; the others only ask, and are asked again and again. */
const orders: ReadonlySet<string> = new Set([
  'StartGuest',
  'StopGuest',
  'PauseGuest',
  'UnpauseGuest',
  'RebootGuest',
  'DestroyGuest',
  'Supersede',
  'SnapshotDisk',
  'PrepareIncoming',
  'StartOutgoing',
  'SetMigrationPolicy',
  'CancelOutgoing',
  'ResumeOutgoing',
  'ForfeitIncoming',
  'RelayRelease',
  'FinishIncoming',
  'DropOutgoing',
  'OfferDisks',
  'FetchDisks',
]);

/**
 * Runs a call of the controller within the scope of the request that it is made for: every line logged by it, and by what it leaves running, says whose it is. Orders are logged when they have been
 * carried out or refused. Calls between hosts are left alone: they lie inside the blackout.
 */
export const scoped =
  (log: RpcLog): Interceptor =>
  (next) =>
  (request) => {
    if (request.service.typeName !== Agent.typeName) return next(request);
    const scope = receiveScope(request.header);
    const { name } = request.method;
    const run = (): ReturnType<typeof next> =>
      orders.has(name) ? carriedOut(log, name, subjectOf(request.message), () => next(request)) : next(request);
    return scope === null ? run() : withinScope(scope, run);
  };

async function carriedOut<Answer>(
  log: RpcLog,
  rpc: string,
  subject: Readonly<Record<string, string>>,
  call: () => Promise<Answer>,
): Promise<Answer> {
  const began = performance.now();
  const ms = (): number => Math.round(performance.now() - began);
  try {
    const answer = await traced(`rpc ${rpc}`, subject, call);
    log.info({ rpc, ...subject, ms: ms() }, 'carried out');
    return answer;
  } catch (error) {
    const { code, rawMessage, metadata } = ConnectError.from(error);
    log.info({ rpc, ...subject, ms: ms(), code: metadata.get('godwit-code') ?? Code[code], reason: rawMessage }, 'refused');
    throw error;
  }
}

type Named = { readonly serverId?: string; readonly migrationId?: string };

/** The server and the move that an order is about, as far as it names them: in itself, or in its grant, authority, guest or release. */
function subjectOf(message: object): Readonly<Record<string, string>> {
  const order = message as Named & { readonly grant?: Named; readonly custody?: Named; readonly guest?: Named; readonly release?: Named };
  const named = [order, order.grant, order.custody, order.guest, order.release];
  const serverId = named.find((one) => one?.serverId)?.serverId;
  const migrationId = named.find((one) => one?.migrationId)?.migrationId;
  return { ...(serverId ? { serverId } : {}), ...(migrationId ? { migrationId } : {}) };
}
