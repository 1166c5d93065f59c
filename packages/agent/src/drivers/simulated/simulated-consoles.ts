import { once } from 'node:events';
import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { ConsoleChunk, GuestConsoles } from '../guest-consoles.ts';

/** A simulated guest has a line of console log and no display. */
export function simulatedConsoles(isHere: (serverId: ServerId) => boolean): GuestConsoles {
  const line = Buffer.from('a simulated guest has no console\r\n');
  const mustBeHere = (serverId: ServerId): void => {
    if (!isHere(serverId)) throw new GodwitError('ServerNotFound', `Server ${serverId} does not run on this host.`);
  };
  return {
    async *follow(serverId, from, _tailBytes, signal): AsyncGenerator<ConsoleChunk> {
      if (isHere(serverId) && from === null) yield { data: line, position: { epoch: 1, offset: line.length } };
      if (!signal.aborted) await once(signal, 'abort');
    },
    write: async (serverId) => mustBeHere(serverId),
    display: async (serverId) => {
      mustBeHere(serverId);
      throw new GodwitError('NotImplemented', `Server ${serverId} has no display.`);
    },
  };
}
