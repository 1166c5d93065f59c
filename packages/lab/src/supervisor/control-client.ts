import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { LabError, type LabErrorCode } from '../lab-error.ts';
import { labFiles } from '../lab-plan.ts';
import type { SupervisorReply, SupervisorRequest, SupervisorStatus } from './control-protocol.ts';

/**
 * Sends one request to the supervisor of the lab in `dir`. Resolves when the request has been carried out.
 * Throws LabError NOT_RUNNING when nobody listens, SUPERVISOR_FAILED after `timeoutMs`, or the refusal's own code.
 */
export async function askSupervisor(dir: string, request: SupervisorRequest, timeoutMs = 30_000): Promise<SupervisorStatus> {
  const reply = await exchange(labFiles(dir).socket, request, timeoutMs);
  if (reply.ok) return reply.status;
  throw new LabError(reply.code as LabErrorCode, reply.message);
}

async function exchange(socketPath: string, request: SupervisorRequest, timeoutMs: number): Promise<SupervisorReply> {
  const socket = connect(socketPath);
  const timer = setTimeout(
    () => socket.destroy(new LabError('SUPERVISOR_FAILED', `the lab's supervisor did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    socket.end(`${JSON.stringify(request)}\n`);
    return JSON.parse(await text(socket)) as SupervisorReply;
  } catch (cause) {
    if (cause instanceof LabError) throw cause;
    if (cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED')) {
      throw new LabError('NOT_RUNNING', 'no lab runs here; "godwit lab up" starts one', { cause });
    }
    throw new LabError('SUPERVISOR_FAILED', `the lab's supervisor went away in the middle of ${request.op}`, { cause });
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
