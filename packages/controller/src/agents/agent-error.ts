import { Code, ConnectError } from '@connectrpc/connect';

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

/** Reads an error of an agent call. Anything that is not an answer of the agent counts as unreachable: nobody looked. */
export function agentFailure(error: unknown): AgentFailure {
  const connect = ConnectError.from(error);
  const code = connect.metadata.get('godwit-code');
  const number = (name: string): number | null => {
    const text = connect.metadata.get(name);
    return text === null || !/^\d+$/.test(text) ? null : Number(text);
  };
  const known = { knownEpoch: number('godwit-known-epoch'), knownFence: number('godwit-known-fence') };
  if (code !== null && code !== 'AgentUnreachable') {
    const refused = connect.code === Code.FailedPrecondition || connect.code === Code.InvalidArgument || connect.code === Code.NotFound || connect.code === Code.Unimplemented || connect.code === Code.PermissionDenied;
    return { kind: refused ? 'refused' : 'failed', code, message: connect.rawMessage, ...known };
  }
  return { kind: 'unreachable', code: Code[connect.code] ?? 'Unknown', message: connect.rawMessage, ...known };
}
