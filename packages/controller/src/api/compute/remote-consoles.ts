import { always } from '@godwit/contract/schemas/closed';
import { RemoteConsoleAnswer, RemoteConsoleRequest } from '@godwit/contract/schemas/compute/remote-consoles';
import type { OldConsoleArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { type ConsoleKind, issueConsoleToken } from '../../auth/console-token.ts';
import { displayOf, displaySpec } from '../../workflows/server/display-of.ts';
import { servicePrefixes } from '../service-prefixes.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, route } from './route.ts';
import { type ServerRow, serverFor } from './server-rows.ts';

/** The one type of each protocol that is offered. */
const offered: Readonly<Record<string, ConsoleKind>> = { serial: 'serial', novnc: 'vnc' };

/** A URL that shows the console to whoever holds it, for ten minutes: of the serial one a websocket, of the display a page. */
async function create(request: ComputeRequest<RemoteConsoleRequest>): Promise<Answer> {
  const row = await serverFor(request as ComputeRequest<never>, 'console-output');
  const { protocol, type } = request.body.remote_console;
  if (offered[type] !== protocol) throw unavailable(type);
  return { status: 200, body: { remote_console: { protocol, type, url: await urlOf(request as ComputeRequest<never>, row, type) } } };
}

/** The same, as actions of the server did it up to 2.5. */
export async function oldConsole(request: ComputeRequest<never>, { type }: OldConsoleArguments): Promise<Answer> {
  const row = await serverFor(request, 'console-output');
  return { status: 200, body: { console: { type, url: await urlOf(request, row, type) } } };
}

async function urlOf(request: ComputeRequest<never>, row: ServerRow, type: string): Promise<string> {
  const kind = offered[type];
  if (kind === undefined) throw unavailable(type);
  if (row.host_id === null) throw new GodwitError('Conflict', `Instance ${row.id} is not ready`);
  if (kind === 'vnc' && displayOf(row.flavor) !== 'vnc')
    throw new GodwitError(
      'BadRequest',
      `Unavailable console type ${type}: the instance has no display (flavor extra spec ${displaySpec}=vnc).`,
    );
  const token = await issueConsoleToken(request.context.db, { serverId: row.id, kind, userId: request.caller.userId });
  const { origin } = new URL(request.base);
  return kind === 'serial'
    ? `${origin.replace(/^http/, 'ws')}${servicePrefixes.godwit}/consoles?token=${token}`
    : `${origin}/console?token=${token}`;
}

const unavailable = (type: string): GodwitError => new GodwitError('BadRequest', `Unavailable console type ${type}.`);

export const remoteConsoleRoutes: readonly ComputeRoute[] = [
  route('POST', '/servers/:server/remote-consoles', {
    min: 6,
    body: RemoteConsoleRequest,
    response: always(RemoteConsoleAnswer),
    handle: create as (request: ComputeRequest<never>) => Promise<Answer>,
  }),
];
