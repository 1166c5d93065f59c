import type { Api } from './request.ts';

export type ConsoleType = 'serial' | 'vnc';

/** The websocket of a console, good for ten minutes to connect to. Throws ApiRefusal with the reason when the instance has no such console. */
export async function consoleSocketUrl(api: Api, serverId: string, type: ConsoleType): Promise<string> {
  const { remote_console } = await api.send<{ readonly remote_console: { readonly url: string } }>(
    'POST',
    `/compute/v2.1/servers/${serverId}/remote-consoles`,
    { remote_console: { protocol: type, type: type === 'serial' ? 'serial' : 'novnc' } },
  );
  return socketOf(new URL(remote_console.url).searchParams.get('token') ?? '');
}

/** By the name that the page itself was opened by. */
export const socketOf = (token: string): string =>
  `${window.location.origin.replace(/^http/, 'ws')}/godwit/v1/consoles?${new URLSearchParams({ token })}`;

/** Why the controller closed a console (see its close-codes.ts). */
export const closeCodes = { refused: 4401, gone: 4404, moved: 4409 } as const;
