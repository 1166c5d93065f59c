import { Code, ConnectError } from '@connectrpc/connect';
import { GodwitError } from '@godwit/domain/errors';

/**
 * What an agent's failed call means. `refused`: the agent looked and said no; nothing changed. `failed`: it tried and could not. `unreachable`: nobody
 * answered, and whether it was done is unknown.
 */
export type AgentFailure = {
  readonly kind: 'refused' | 'failed' | 'unreachable';
  /** `godwit-code` of the answer, else the transport's word. */
  readonly code: string;
  readonly message: string;
  /** Of custody refusals: the highest epoch and fence known there. */
  readonly knownEpoch: number | null;
  readonly knownFence: number | null;
};

/**
 * Reads an error of an agent call. A failed call without the agent's own code counts as unreachable: nobody looked. Rethrows what is no call's error
 * (the database's, an executor's being fenced).
 */
export function agentFailure(error: unknown): AgentFailure {
  // What we do not ask of an agent at all: there is none, or it would do it wrongly.
  if (error instanceof GodwitError && (error.code === 'HostNotFound' || error.code === 'NetworkSetupFailed'))
    return { kind: 'refused', code: error.code, message: error.message, knownEpoch: null, knownFence: null };
  if (!(error instanceof ConnectError)) throw error;
  const connect = error;
  const code = connect.metadata.get('godwit-code');
  const number = (name: string): number | null => {
    const text = connect.metadata.get(name);
    return text === null || !/^\d+$/.test(text) ? null : Number(text);
  };
  // The server knows no such call: it is older than we are, looked, and did nothing.
  if (code === null && connect.code === Code.Unimplemented)
    return {
      kind: 'refused',
      code: 'NotImplemented',
      message: 'its agent is older than this controller and cannot do that yet: upgrade it',
      knownEpoch: null,
      knownFence: null,
    };
  const known = { knownEpoch: number('godwit-known-epoch'), knownFence: number('godwit-known-fence') };
  if (code !== null && code !== 'AgentUnreachable') {
    const refused =
      connect.code === Code.FailedPrecondition ||
      connect.code === Code.InvalidArgument ||
      connect.code === Code.NotFound ||
      connect.code === Code.Unimplemented ||
      connect.code === Code.PermissionDenied;
    return { kind: refused ? 'refused' : 'failed', code, message: connect.rawMessage, ...known };
  }
  return { kind: 'unreachable', code: Code[connect.code] ?? 'Unknown', message: connect.rawMessage, ...known };
}
