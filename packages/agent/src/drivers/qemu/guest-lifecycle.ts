import { rm } from 'node:fs/promises';
import type { Grant } from '@godwit/domain/custody/grant';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { asEpoch, type Epoch, type ServerId } from '@godwit/domain/ids';
import { makeConfigDrive, removeConfigDrive, withConfigDrive } from '../../config-drive/make-config-drive.ts';
import { delay } from '../../migration/deadline.ts';
import { makeTaps } from '../../migration/destination-network.ts';
import { removeTaps } from '../../network/remove-taps.ts';
import { lastLogLines } from '../../qemu/guest-process.ts';
import { runDir } from '../../qemu/run-dir.ts';
import type { GuestReport } from '../guest-report.ts';
import type { Authority } from '../host-driver.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { fetchImage } from './fetch-image.ts';
import { createGuestDisks, deleteGuestDisks } from './guest-disks.ts';
import { guestSpecOf, poolNamed } from './guest-spec-of.ts';
import type { QemuHost } from './qemu-host.ts';
import { removeMemories, removeMemory } from './saved-memory.ts';
import { startQemu } from './start-qemu.ts';
import { forgetSpentMemory, loadSavedMemory, memoryOfGrant } from './suspend-guest.ts';

/** How long a soft reboot waits for the guest to shut itself down. */
const softRebootMs = 60_000;
/** Between two presses of the power button. */
const powerButtonEveryMs = 5_000;

/**
 * Starts a guest under a plain grant: disks, taps, QEMU stopped, and custody lets it run. Repeating the call with the same grant finds it taken. When it throws before the take, the grant is
 * forfeited, taps are gone and the disks stay (they may hold data). `cleared` resolves once nothing of an earlier copy is being cleared away.
 */
export async function startGuest(host: QemuHost, grant: Grant, wanted: WantedGuest, cleared: () => Promise<void>): Promise<GuestReport> {
  const { serverId } = wanted;
  const granted = await host.custody.feed(serverId, { kind: 'grant', fence: grant.fence, grant });
  if (granted.some((message) => message.kind === 'took')) return host.guests.report(serverId);
  // From now on no order of before is obeyed; what one has begun would take away what is made here.
  await cleared();
  const { memory } = grant;
  const spec = guestSpecOf(wanted, host.pools, host.defaults);
  try {
    // Before a disk is grown or a drive written: what is refused leaves all as the memory knows it.
    const file = memory === undefined ? null : await memoryOfGrant(host, withConfigDrive(host.config.stateDir, spec, wanted), memory);
    await Promise.all([
      createGuestDisks(wanted, host.pools, (imageId) => fetchImage(host.config.controllerUrl, host.identity.current, imageId)),
      // The rules first: from its first frame on the guest is held to them.
      host.networks
        .admit(spec.nics, wanted.networkPolicy ?? null)
        .then(() => makeTaps(host.tools, spec.nics, host.config.bridge, true))
        .then(() => host.dhcp?.serve(spec.nics)),
    ]);
    const machine = await makeConfigDrive(host.config.stateDir, spec, wanted);
    const process = await startQemu(host, machine, grant.epoch, file !== null);
    if (file !== null) await loadSavedMemory(process, serverId, file);
    await host.custody.feed(serverId, { kind: 'launch', fence: grant.fence, epoch: grant.epoch });
  } catch (error) {
    await host.custody
      .feed(serverId, { kind: 'forfeit', fence: grant.fence, epoch: grant.epoch, bootId: grant.bootId })
      .catch((refused: unknown) => host.log.warn({ err: refused, serverId }, 'a failed start could not be forfeited'));
    const { kind } = host.custody.state(serverId).copy;
    if (kind === 'none' || kind === 'suspended') await removeTraces(host, serverId, spec);
    throw error;
  }
  if (memory !== undefined) await resumed(host, serverId, memory);
  await settledIn(host, serverId, 'running');
  return host.guests.report(serverId);
}

/** The guest runs on from its memory: what is left is courtesy, and its failure is nobody's. */
async function resumed(host: QemuHost, serverId: ServerId, memory: Epoch): Promise<void> {
  const process = host.guests.process(serverId);
  if (process === null) return;
  await forgetSpentMemory(host, process, serverId, memory).catch((error: unknown) =>
    host.log.warn({ err: error, serverId }, 'a memory that is spent could not be cleared away'),
  );
  await announce(host, serverId);
}

/** Nobody has sent in the guest's name from here until now. */
async function announce(host: QemuHost, serverId: ServerId): Promise<void> {
  await host.guests
    .process(serverId)
    ?.qmp.execute('announce-self', { initial: 50, max: 550, rounds: 5, step: 100 })
    .catch(() => undefined);
}

/** ACPI first, then power off. When it returns no QEMU of the guest is left here; its disks stay. */
export async function stopGuest(host: QemuHost, authority: Authority, timeoutMs: number): Promise<GuestReport> {
  const { serverId } = authority;
  const process = host.guests.process(serverId);
  if (process && host.guests.fact(serverId)?.kind === 'running' && timeoutMs > 0) {
    await askToPowerOff(host, authority, timeoutMs);
  }
  await host.custody.feed(serverId, { kind: 'powerOff', fence: authority.fence, epoch: authority.epoch });
  if (process) await removeTraces(host, serverId, process.spec, false);
  host.guests.tell(serverId);
  return host.guests.report(serverId);
}

export async function pauseGuest(host: QemuHost, authority: Authority): Promise<GuestReport> {
  await host.custody.feed(authority.serverId, { kind: 'pause', fence: authority.fence, epoch: authority.epoch });
  await settledIn(host, authority.serverId, 'paused');
  return host.guests.report(authority.serverId);
}

export async function unpauseGuest(host: QemuHost, authority: Authority): Promise<GuestReport> {
  await host.custody.feed(authority.serverId, { kind: 'unpause', fence: authority.fence, epoch: authority.epoch });
  await settledIn(host, authority.serverId, 'running');
  // A guest that was moved while paused has not been announced.
  await announce(host, authority.serverId);
  return host.guests.report(authority.serverId);
}

/** Soft: the guest shuts itself down and starts again; one that does not within a minute, and hard: reset. The same QEMU and epoch go on. */
export async function rebootGuest(host: QemuHost, authority: Authority, hard: boolean): Promise<GuestReport> {
  const { serverId, fence, epoch } = authority;
  if (!hard && host.guests.fact(serverId)?.kind === 'running') {
    await askToPowerOff(host, authority, softRebootMs);
  }
  await host.custody.feed(serverId, { kind: 'reset', fence, epoch });
  await host.custody.feed(serverId, { kind: 'unpause', fence, epoch });
  await settledIn(host, serverId, 'running');
  return host.guests.report(serverId);
}

/** Every copy below the epoch is dead when it returns. `deleteDisks` takes the disks too; on a shared pool that is the server's data, so only a server delete asks for it. */
export async function destroyGuest(
  host: QemuHost,
  authority: Authority,
  deleteDisks: boolean,
  wanted: WantedGuest | null,
): Promise<boolean> {
  const { serverId } = authority;
  const existed = host.custody.state(serverId).copy.kind !== 'none' || host.guests.process(serverId) !== null;
  // Also of a QEMU that has died before.
  const spec = host.guests.spec(serverId) ?? (wanted && guestSpecOf(wanted, host.pools, host.defaults));
  await host.custody.feed(serverId, { kind: 'destroy', fence: authority.fence, epoch: authority.epoch });
  const through = asEpoch(Math.max(0, authority.epoch - 1));
  await removeMemory(host, serverId, through);
  await removeConfigDrive(host.config.stateDir, serverId);
  if (spec) await removeTraces(host, serverId, spec);
  if (deleteDisks) {
    await removeMemories(host, serverId, through);
    // Nobody knows which it had: it must not be said that they are gone while a pool is not open.
    if (wanted === null) for (const { name } of host.config.pools) poolNamed(host.pools, name);
    await deleteGuestDisks(serverId, wanted, host.pools);
    const run = runDir(host.config.stateDir, serverId);
    const said = await lastLogLines(run).catch(() => []);
    if (said.length > 0) host.log.info({ serverId, qemu: said }, 'what QEMU said, before its directory went');
    await rm(run.dir, { recursive: true, force: true });
  }
  host.guests.forget(serverId);
  host.guests.tell(serverId);
  return existed;
}

/** Presses the power button until the guest has gone, or the time is over. Again and again: one that is still booting does not hear the first press. */
async function askToPowerOff(host: QemuHost, { serverId, fence, epoch }: Authority, timeoutMs: number): Promise<void> {
  for (const until = performance.now() + timeoutMs; performance.now() < until; ) {
    if (host.guests.fact(serverId)?.kind !== 'running') return;
    try {
      await host.custody.feed(serverId, { kind: 'powerDown', fence, epoch });
    } catch (error) {
      // It may have ended just now: what follows finds that out.
      if (host.guests.fact(serverId)?.kind === 'running') throw error;
      return;
    }
    await untilFact(host, serverId, ['powered-off', 'died'], Math.max(0, Math.min(powerButtonEveryMs, until - performance.now())));
  }
}

/** Taps of a guest whose process is dead; its record too, unless it is still to be reported. */
async function removeTraces(host: QemuHost, serverId: ServerId, spec: GuestSpec, forget = true): Promise<void> {
  await removeTaps(host, spec.nics);
  if (forget) host.guests.forget(serverId);
}

/** QEMU's events follow its answers by a moment: reports should already say what was just ordered. */
async function settledIn(host: QemuHost, serverId: ServerId, state: 'running' | 'paused'): Promise<void> {
  await untilFact(host, serverId, [state, 'died', 'panicked', 'broken'], 2_000);
}

async function untilFact(host: QemuHost, serverId: ServerId, kinds: readonly string[], limitMs: number): Promise<void> {
  const until = performance.now() + limitMs;
  while (performance.now() < until) {
    const fact = host.guests.fact(serverId);
    if (fact === null || kinds.includes(fact.kind)) return;
    await delay(10);
  }
}
