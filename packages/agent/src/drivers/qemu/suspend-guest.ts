import { GodwitError } from '@godwit/domain/errors';
import { memoryOf } from '@godwit/domain/guest-memory';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import type { Epoch, ServerId } from '@godwit/domain/ids';
import { faultPoint } from '../../fault-point.ts';
import { delay } from '../../migration/deadline.ts';
import { queryMigrate } from '../../migration/query-migrate.ts';
import { removeTaps } from '../../network/remove-taps.ts';
import { type GuestProcess, lastWords } from '../../qemu/guest-process.ts';
import { loadMemory, savesInPlace, setUpForMoves, setUpSaving } from '../../qemu/memory-file.ts';
import type { SpaceLedger } from '../../storage/space-ledger.ts';
import type { GuestReport } from '../guest-report.ts';
import type { Authority } from '../host-driver.ts';
import type { QemuHost } from './qemu-host.ts';
import { requireProcess } from './require-process.ts';
import { beginMemory, memoryPath, memoryRoom, removeMemory, usableMemory } from './saved-memory.ts';
import { scaleGuest } from './scale-guest.ts';

/** For a gibibyte at some 2 MB/s: storage that is slower than this is broken, and the guest should rather run. */
const saveWithinMs = 600_000;
const loadWithinMs = 600_000;
const lookEveryMs = 20;
const answerMs = 10_000;
const askAgainMs = 1_000;
/** A cancel takes QEMU some milliseconds; whoever asked asks again. */
const abandonWithinMs = 5_000;
/** QEMU's device states and the file's own tables, beside the memory. */
const besideMemoryBytes = 64 * 1_048_576;

/**
 * Saves the memory of a guest that has so many vCPUs (null: as many as it has) durably in a file and ends its QEMU; the guest runs on meanwhile but for the last of it. Repeating it finds it done. When it throws the guest runs on under its epoch, unless it
 * has died by itself, and nothing of the file stays.
 */
export async function suspendGuest(host: QemuHost, space: SpaceLedger, authority: Authority, vcpus: number | null): Promise<GuestReport> {
  const { serverId, epoch, fence } = authority;
  const { stateDir } = host.config;
  const running = host.guests.process(serverId);
  const order = { kind: 'suspend', fence, epoch } as const;
  if (running === null || host.custody.state(serverId).copy.kind !== 'held') {
    // Suspended already, or nothing that can be: custody says which.
    await host.custody.feed(serverId, order);
    return host.guests.report(serverId);
  }
  if (!host.capabilities.migrationCapabilities.includes(savesInPlace))
    throw new GodwitError(
      'SuspendUnsupported',
      `QEMU ${host.capabilities.version} cannot save a guest's memory in place (${savesInPlace})`,
    );
  demandNoMove(host, serverId, epoch);
  if (vcpus !== null && running.spec.maxVcpus !== undefined) await scaleGuest(host, authority, { vcpus });
  // The memory's record is of the machine as it is now.
  const process = requireProcess(host, serverId);
  const { spec } = process;
  const path = memoryPath(stateDir, spec, epoch);
  const giveBack = await space.claim(memoryRoom(host, spec), memoryOf(spec) * 1_048_576 + besideMemoryBytes);
  try {
    await beginMemory(host, spec, epoch, path);
    await setUpSaving(process.qmp);
    await host.custody.feed(serverId, order);
    await faultPoint('suspend.saving');
    await untilSaved(host, process, serverId, epoch);
  } catch (error) {
    await letGoOn(host, serverId, epoch);
    const { copy } = host.custody.state(serverId);
    // Whoever else looked saw its end first, and custody ended the QEMU that was being asked here.
    if (copy.kind !== 'suspended' || copy.grant.epoch !== epoch) throw named(error, serverId);
  } finally {
    giveBack();
  }
  await removeTaps(host, spec.nics);
  host.guests.forget(serverId);
  host.guests.tell(serverId);
  return host.guests.report(serverId);
}

/** Whoever was saving this guest's memory gives up: it runs on, can be moved, and nothing of the file stays. Resolves when custody says so; a suspended guest is left as it is. */
export async function letGoOn(host: QemuHost, serverId: ServerId, epoch: Epoch): Promise<void> {
  for (;;) {
    const { copy } = host.custody.state(serverId);
    if (copy.kind === 'suspended') return;
    if (copy.kind !== 'held' || copy.suspending !== true || !copy.alive) break;
    // A QEMU that does not answer is asked again: until it does, nobody knows whether the guest runs.
    const asked = await host.custody.feed(serverId, { kind: 'suspendAbandoned', epoch }).catch((error: unknown) => {
      host.log.warn({ err: error, serverId }, 'a guest whose memory was to be saved could not be let go on yet');
      return null;
    });
    await delay(asked === null ? askAgainMs : lookEveryMs);
  }
  const process = host.guests.process(serverId);
  if (process)
    await setUpForMoves(process.qmp).catch((error: unknown) =>
      host.log.warn({ err: error, serverId }, 'QEMU keeps its settings for files'),
    );
  await removeMemory(host, serverId, epoch);
}

/** A memory of this guest that is being saved is given up, for an order that is not to wait for it: whoever saves it sees that, and clears up after it. Does nothing for an order that custody would not obey. */
export async function abandonSaving(host: QemuHost, { serverId, epoch, fence }: Authority): Promise<void> {
  for (const until = performance.now() + abandonWithinMs; performance.now() < until; await delay(lookEveryMs)) {
    const { copy, fence: obeyed } = host.custody.state(serverId);
    if (fence < obeyed || copy.kind !== 'held' || copy.grant.epoch !== epoch || copy.suspending !== true || !copy.alive) return;
    await host.custody.feed(serverId, { kind: 'suspendAbandoned', epoch });
  }
}

/** Loads the memory of this epoch into a QEMU that waits for it. When it resolves the guest is here, stopped. Throws GodwitError SavedMemoryUnusable when QEMU refuses it. */
export async function loadSavedMemory(process: GuestProcess, serverId: ServerId, path: string): Promise<void> {
  const unusable = (why: string): GodwitError =>
    new GodwitError('SavedMemoryUnusable', `the saved memory of server ${serverId} cannot be loaded: ${why}`);
  const died = process.ended.then(({ lastLines }) => lastWords(lastLines));
  const dying = async (): Promise<never> => {
    throw unusable(await died);
  };
  try {
    await loadMemory(process.qmp, path);
    for (const until = performance.now() + loadWithinMs; performance.now() < until; await delay(lookEveryMs)) {
      const { status, error } = await queryMigrate(process.qmp, loadWithinMs);
      if (status === 'completed') return await faultPoint('resume.loaded');
      if (status === 'failed') throw unusable(error === '' ? 'QEMU says no more' : error);
    }
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    // A load that fails ends QEMU: what it said then is the cause, not that its monitor hung up.
    if (await Promise.race([died.then(() => true), delay(answerMs).then(() => false)])) return dying();
    throw error;
  }
  throw unusable(`QEMU has not loaded it in ${loadWithinMs / 1_000} s`);
}

/** After the take: the memory is spent, and the guest may be moved again. */
export async function forgetSpentMemory(host: QemuHost, process: GuestProcess, serverId: ServerId, memory: Epoch): Promise<void> {
  // A QEMU that does not answer keeps no room.
  await removeMemory(host, serverId, memory);
  await setUpForMoves(process.qmp);
}

/** Where the memory of a grant that resumes is. */
export const memoryOfGrant = (host: QemuHost, spec: GuestSpec, memory: Epoch): Promise<string> =>
  usableMemory(host.config.stateDir, spec, memory);

async function untilSaved(host: QemuHost, process: GuestProcess, serverId: ServerId, epoch: Epoch): Promise<void> {
  for (const until = performance.now() + saveWithinMs; performance.now() < until; await delay(lookEveryMs)) {
    const { copy } = host.custody.state(serverId);
    if (copy.kind === 'suspended') return;
    if (copy.kind !== 'held' || !copy.alive)
      throw new GodwitError('SuspendFailed', `the guest of server ${serverId} ended while its memory was being saved`);
    const look = await queryMigrate(process.qmp, answerMs);
    const ended = look.status === 'completed' || look.status === 'failed' || look.status === 'cancelled';
    if (copy.suspending !== true) throw notSaved(serverId, look.error === '' ? 'it was given up' : look.error);
    if (!ended) continue;
    const told = await host.custody.feed(serverId, { kind: 'observed' });
    if (told.some((message) => message.kind === 'suspended' && message.epoch === epoch)) return;
    if (told.some((message) => message.kind === 'notSuspended'))
      throw notSaved(serverId, look.error === '' ? `QEMU says ${look.status}` : look.error);
  }
  throw notSaved(serverId, `it took longer than ${saveWithinMs / 1_000} s`);
}

const notSaved = (serverId: ServerId, why: string): GodwitError =>
  /no space left/i.test(why)
    ? new GodwitError('NoSpace', `the memory of server ${serverId} was not saved, its guest runs on: ${why}`)
    : new GodwitError('SuspendFailed', `the memory of server ${serverId} was not saved, its guest runs on: ${why}`);

/** Errors of the file system, in the words of what failed. */
function named(error: unknown, serverId: ServerId): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof GodwitError || code === undefined) return error;
  if (code === 'ENOSPC')
    return new GodwitError(
      'NoSpace',
      `the memory of server ${serverId} was not saved, its guest runs on: ${message}`,
      {},
      { cause: error },
    );
  if (/^E[A-Z0-9]+$/.test(code))
    return new GodwitError(
      'SuspendFailed',
      `the memory of server ${serverId} was not saved, its guest runs on: ${message}`,
      {},
      { cause: error },
    );
  return error;
}

/** Nothing of a file is touched for an order that custody would refuse: an older one may be of use still. */
function demandNoMove(host: QemuHost, serverId: ServerId, epoch: Epoch): void {
  const { copy } = host.custody.state(serverId);
  if (copy.kind === 'held' && copy.grant.epoch === epoch && copy.outgoing === null && host.guests.report(serverId).migrationId === null)
    return;
  throw new GodwitError('Conflict', `server ${serverId} is being moved, or does not run here under epoch ${epoch}`);
}
