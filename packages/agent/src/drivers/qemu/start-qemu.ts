import { GodwitError } from '@godwit/domain/errors';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { Epoch } from '@godwit/domain/ids';
import { type GuestProcess, startGuest } from '../../qemu/guest-process.ts';
import type { ProcessRef } from '../../qemu/process-ref.ts';
import type { QemuHost } from './qemu-host.ts';

/** From spawn to answering monitors. TCG on a busy machine needs half a second; anything near this is broken. */
const startDeadlineMs = 20_000;

/**
 * Starts a QEMU for a granted guest (vCPUs stopped), binds it to the grant in custody's journal, and watches it. When it throws, whatever process there was is bound too, so that a
 * forfeit or destruction of the grant kills it.
 */
export async function startQemu(host: QemuHost, spec: GuestSpec, epoch: Epoch, incoming: boolean): Promise<GuestProcess> {
  const { capabilities, config } = host;
  const bind = (ref: ProcessRef): Promise<unknown> =>
    host.custody.feed(spec.serverId, { kind: 'bind', epoch, process: { pid: ref.pid, startTicks: ref.startTicks } });
  let process: GuestProcess;
  try {
    process = await startGuest(spec, {
      qemuBinary: capabilities.qemuBinary,
      stateDir: config.stateDir,
      epoch,
      incoming,
      imageLocking: config.imageLocking ?? true,
      sandbox: capabilities.sandbox,
      vhostNet: false,
      tls: [],
      deadlineMs: startDeadlineMs,
    });
  } catch (error) {
    const ref = error instanceof GodwitError ? (error.details['ref'] as ProcessRef | undefined) : undefined;
    if (ref)
      await bind(ref).catch((refused: unknown) =>
        host.log.error({ err: refused, serverId: spec.serverId }, 'a QEMU that did not start could not be bound to its grant'),
      );
    throw error;
  }
  host.guests.add(spec.serverId, process);
  await bind(process.ref);
  return process;
}
