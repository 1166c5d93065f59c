import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { GuestProcess } from '../../qemu/guest-process.ts';
import type { QemuHost } from './qemu-host.ts';

/** The guest as this host runs it now; throws GodwitError ServerNotFound when it has no process here. */
export function requireProcess(host: QemuHost, serverId: ServerId): GuestProcess {
  const process = host.guests.process(serverId);
  if (!process) throw new GodwitError('ServerNotFound', `server ${serverId} has no QEMU on this host`);
  return process;
}
