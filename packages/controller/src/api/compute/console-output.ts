import { Code, ConnectError } from '@connectrpc/connect';
import type { ConsoleOutputArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId } from '@godwit/domain/ids';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** As much as a client is given when it names no number of lines; the reference's own limit. */
const maxBytes = 102_400;

/** The end of the guest's serial console, by lines when the caller says how many. Bytes that are no text are replaced, control characters that JSON forbids left out. */
export async function consoleOutput(request: ComputeRequest<never>, args: ConsoleOutputArguments): Promise<Answer> {
  const row = await serverFor(request, 'console-output');
  if (row.host_id === null) throw new GodwitError('Conflict', `Instance ${row.id} is not ready`);
  const length = args?.length === undefined || args.length === null || Number(args.length) < 0 ? null : Number(args.length);
  if (length === 0) return { status: 200, body: { output: '' } };
  let data: Uint8Array;
  try {
    const client = await request.context.agents.client(as<HostId>(row.host_id));
    ({ data } = await client.readConsole({ serverId: row.id, maxBytes: BigInt(maxBytes), maxLines: length ?? 0 }, { timeoutMs: 10_000 }));
  } catch (cause) {
    if (cause instanceof ConnectError && cause.code === Code.NotFound) return { status: 200, body: { output: '' } };
    if (cause instanceof ConnectError)
      throw new GodwitError('AgentUnreachable', 'The host of this server does not answer at this time.', {}, { cause });
    throw cause;
  }
  const text = Buffer.from(data).toString('utf8');
  const lines =
    length === null
      ? text
      : text
          .split('\n')
          .slice(-(text.endsWith('\n') ? length + 1 : length))
          .join('\n');
  return { status: 200, body: { output: lines } };
}
