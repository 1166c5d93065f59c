import type { MigrateArguments, ResizeArguments } from '@godwit/contract/schemas/compute/server-actions';
import { as, type ServerId } from '@godwit/domain/ids';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

const accepted: Answer = { status: 202 };

/** `migrate`: below 2.56 whatever stands behind it is ignored, from it on it may name the host. */
export async function migrate(request: ComputeRequest<never>, args: MigrateArguments): Promise<Answer> {
  const server = await serverFor(request, 'migrate');
  const host = request.minor >= 56 ? (args?.host ?? null) : null;
  await request.context.operations.migrate(request.caller, as<ServerId>(server.id), { host });
  return accepted;
}

export async function resize(request: ComputeRequest<never>, args: ResizeArguments): Promise<Answer> {
  const server = await serverFor(request, 'resize');
  await request.context.operations.resize(request.caller, as<ServerId>(server.id), { flavorId: String(args.flavorRef) });
  return accepted;
}

/** Answers 204; the server stays VERIFY_RESIZE until the source has forgotten it. */
export async function confirmResize(request: ComputeRequest<never>): Promise<Answer> {
  const server = await serverFor(request, 'confirm-resize');
  await request.context.operations.confirmResize(request.caller, as<ServerId>(server.id));
  return { status: 204 };
}

export async function revertResize(request: ComputeRequest<never>): Promise<Answer> {
  const server = await serverFor(request, 'revert-resize');
  await request.context.operations.revertResize(request.caller, as<ServerId>(server.id));
  return accepted;
}
