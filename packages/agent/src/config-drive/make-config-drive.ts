import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { ServerId } from '@godwit/domain/ids';
import type { WantedGuest } from '../drivers/wanted-guest.ts';
import { runDir } from '../qemu/run-dir.ts';
import { iso9660 } from './iso9660.ts';

/** By which guests find the drive (cloud-init's ConfigDrive, version 2). */
const label = 'config-2';

/** The spec with the guest's config drive, which is on this host when it resolves; the spec as it is for a guest without one. Only before its QEMU starts. */
export async function makeConfigDrive(
  stateDir: string,
  spec: GuestSpec,
  { configDrive }: Pick<WantedGuest, 'configDrive'>,
): Promise<GuestSpec> {
  if (configDrive === undefined) return spec;
  const path = runDir(stateDir, spec.serverId).configDrive;
  const image = iso9660(label, configDrive);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.part`, image, { mode: 0o600 });
  await rename(`${path}.part`, path);
  return withConfigDrive(stateDir, spec, { configDrive });
}

/** The same spec, with nothing written. */
export const withConfigDrive = (stateDir: string, spec: GuestSpec, { configDrive }: Pick<WantedGuest, 'configDrive'>): GuestSpec =>
  configDrive === undefined ? spec : { ...spec, configDrive: runDir(stateDir, spec.serverId).configDrive };

/** It may hold what only the guest should read: it goes when the guest is no longer here. */
export async function removeConfigDrive(stateDir: string, serverId: ServerId): Promise<void> {
  await rm(runDir(stateDir, serverId).configDrive, { force: true });
}
