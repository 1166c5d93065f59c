import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { as, type ServerId } from '@godwit/domain/ids';
import { bootDiskBytes, bootSector } from './boot-sector.ts';

/** Throwaway guests (probes, self-test) carry ids with this prefix: no server ever has one, so custody can tell them apart. */
const prefix = '00000000-0000-4000-8000-';

/** A fresh id of a throwaway guest. */
export const throwawayId = (): ServerId => as<ServerId>(prefix + randomBytes(6).toString('hex'));
export const isThrowaway = (serverId: string): boolean => serverId.startsWith(prefix);

/** State directory of throwaway guests: beside the real guests' one, never adopted, safe to delete while no probe runs. */
export const throwawayDir = (stateDir: string): string => join(stateDir, 'probe');

/**
 * Writes the boot disk of the counting guest (boot-sector.ts) and returns a guest that boots from it: the same command line as any guest,
 * 16 MiB, no network. `accelerator`, `machineType` and `cpuModel` are the caller's.
 */
export async function throwawayGuest(
  stateDir: string,
  options: Pick<GuestSpec, 'accelerator' | 'machineType' | 'cpuModel'>,
): Promise<GuestSpec> {
  const dir = throwawayDir(stateDir);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const serverId = throwawayId();
  const path = join(dir, `${serverId}.img`);
  await writeFile(path, Buffer.concat([bootSector(), Buffer.alloc(bootDiskBytes - 512)]), { mode: 0o600 });
  return {
    serverId,
    name: 'probe',
    vcpus: 1,
    ramMib: 16,
    ...options,
    deviceLayout: 1,
    // Read-only: both sides of the self-test open it, and nothing of it has to be handed over.
    disks: [{ id: 'boot', path, format: 'raw', readOnly: true, storage: 'shared', sizeBytes: bootDiskBytes, directIo: false }],
    nics: [],
    graphics: 'none',
    balloon: false,
  };
}
