import { Type } from 'typebox';
import { Closed, OneOf, perMinor } from '../closed.ts';

/** OpenStack compute API v2.1, "Server Consoles": the protocols and types that a request may name; 2.8 adds mks. */
export const RemoteConsoleRequest = perMinor((minor) =>
  Closed({
    remote_console: Closed({
      protocol: minor >= 8 ? OneOf('vnc', 'spice', 'rdp', 'serial', 'mks') : OneOf('vnc', 'spice', 'rdp', 'serial'),
      type:
        minor >= 8
          ? OneOf('novnc', 'xvpvnc', 'rdp-html5', 'spice-html5', 'serial', 'webmks')
          : OneOf('novnc', 'xvpvnc', 'rdp-html5', 'spice-html5', 'serial'),
    }),
  }),
);
export type RemoteConsoleRequest = { readonly remote_console: { readonly protocol: string; readonly type: string } };

export const RemoteConsoleAnswer = Closed({
  remote_console: Closed({ protocol: Type.String(), type: Type.String(), url: Type.String() }),
});
