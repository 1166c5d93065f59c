import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { bootDiskBytes, bootSector } from '../../qemu/boot-sector.ts';
import { loadMemory, memoryChannel, setUpSaving } from '../../qemu/memory-file.ts';
import { MEMORY_BEHAVIOURS, type MemoryBehaviour } from './memory-behaviours.ts';
import { afterCancel, pause, TinyLab, type TinyQemu } from './tiny-qemu.ts';

const tested = new Set<string>();
const conforms = (behaviour: MemoryBehaviour, run: (lab: TinyLab) => Promise<void>): void => {
  tested.add(behaviour);
  test(`${behaviour}: ${MEMORY_BEHAVIOURS[behaviour]}`, { timeout: 30_000 }, async () => {
    await using lab = new TinyLab();
    await expect(run(lab)).resolves.toBeUndefined();
  });
};
afterAll(() => {
  expect(Object.keys(MEMORY_BEHAVIOURS).filter((name) => !tested.has(name))).toEqual([]);
});

/** Long enough for what must not happen. */
const whileMs = 200;
const ramBytes = 16 * 1_048_576;

/** The guest that counts aloud for ever: its memory is never twice the same. Its disk is under QEMU's own locks. */
function counting(lab: TinyLab): readonly string[] {
  const path = join(lab.dir, 'boot.img');
  writeFileSync(path, Buffer.concat([bootSector(), Buffer.alloc(bootDiskBytes - 512)]));
  return [
    ...['-blockdev', JSON.stringify({ driver: 'file', 'node-name': 'file', filename: path, locking: 'on' })],
    ...['-blockdev', JSON.stringify({ driver: 'raw', 'node-name': 'disk', file: 'file' })],
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=0', '-chardev', 'null,id=con', '-serial', 'chardev:con'],
  ];
}

async function save(qemu: TinyQemu, path: string, bytesPerSecond = 0): Promise<void> {
  await setUpSaving(qemu.qmp);
  if (bytesPerSecond > 0) await qemu.qmp.execute('migrate-set-parameters', { 'max-bandwidth': bytesPerSecond });
  await qemu.qmp.execute('migrate', memoryChannel(path));
}

/** A memory, the arguments that its QEMU had, and its bytes; that QEMU is dead. */
async function saved(lab: TinyLab) {
  const machine = counting(lab);
  const qemu = await lab.running(machine);
  await pause(whileMs);
  const path = join(lab.dir, 'memory');
  await save(qemu, path);
  await qemu.shows({ runstate: 'postmigrate', migration: 'completed' });
  const bytes = await ram(lab, qemu);
  qemu.kill();
  await qemu.exited;
  return { machine, path, bytes };
}

let dumps = 0;
/** All of the guest's memory, as QEMU has it now. */
async function ram(lab: TinyLab, qemu: TinyQemu): Promise<Buffer> {
  dumps += 1;
  const filename = join(lab.dir, `ram-${dumps}`);
  await qemu.qmp.execute('pmemsave', { val: 0, size: ramBytes, filename });
  return readFileSync(filename);
}

const loading = async (lab: TinyLab, machine: readonly string[], path: string): Promise<TinyQemu> => {
  const qemu = await lab.start({ incoming: true, extra: machine });
  await loadMemory(qemu.qmp, path);
  return qemu;
};
const loaded = async (lab: TinyLab, machine: readonly string[], path: string): Promise<TinyQemu> => {
  const qemu = await loading(lab, machine, path);
  await qemu.shows({ runstate: 'paused', migration: 'completed' });
  return qemu;
};

conforms('saved-stands-in-postmigrate', async (lab) => {
  const qemu = await lab.running(counting(lab));
  await save(qemu, join(lab.dir, 'memory'));
  await qemu.shows({ runstate: 'postmigrate', migration: 'completed' });
  const before = await ram(lab, qemu);
  await pause(whileMs);
  expect(await qemu.now()).toEqual({ runstate: 'postmigrate', migration: 'completed' });
  expect((await ram(lab, qemu)).equals(before)).toBe(true);
});

conforms('saved-memory-comes-back', async (lab) => {
  const { machine, path, bytes } = await saved(lab);
  const qemu = await loaded(lab, machine, path);
  expect((await ram(lab, qemu)).equals(bytes)).toBe(true);
  await qemu.qmp.execute('cont');
  await qemu.shows({ runstate: 'running' });
  await pause(whileMs);
  expect((await ram(lab, qemu)).equals(bytes)).toBe(false);
});

conforms('loaded-memory-waits', async (lab) => {
  const { machine, path, bytes } = await saved(lab);
  const qemu = await lab.start({ incoming: true, extra: machine });
  const told: string[] = [];
  qemu.qmp.on(({ event }) => told.push(event));
  await loadMemory(qemu.qmp, path);
  await qemu.shows({ runstate: 'paused', migration: 'completed' });
  await pause(whileMs);
  expect(await qemu.now()).toEqual({ runstate: 'paused', migration: 'completed' });
  expect(told).not.toContain('RESUME');
  expect((await ram(lab, qemu)).equals(bytes)).toBe(true);
  // Somebody else may write to the disk still.
  const image = join(lab.dir, 'boot.img');
  const writes = (): unknown => execFileSync('qemu-io', ['-f', 'raw', '-c', 'write -P 0 4k 512', image], { stdio: 'pipe' });
  writes();
  await qemu.qmp.execute('cont');
  await qemu.shows({ runstate: 'running' });
  expect(writes).toThrow(/lock/);
});

conforms('cont-in-loading-arms-autostart', async (lab) => {
  const { machine, path } = await saved(lab);
  const qemu = await lab.start({ incoming: true, extra: machine });
  await qemu.shows({ runstate: 'inmigrate' });
  await qemu.qmp.execute('cont');
  await loadMemory(qemu.qmp, path);
  await qemu.shows({ runstate: 'running', migration: 'completed' });
});

conforms('cont-after-saving-runs-on', async (lab) => {
  const qemu = await lab.running(counting(lab));
  await save(qemu, join(lab.dir, 'memory'));
  await qemu.shows({ runstate: 'postmigrate', migration: 'completed' });
  await qemu.qmp.execute('cont');
  await qemu.shows({ runstate: 'running' });
});

conforms('cancelled-saving-resumes', async (lab) => {
  const qemu = await lab.running(counting(lab));
  await save(qemu, join(lab.dir, 'memory'), 10_000);
  await qemu.shows({ runstate: 'running', migration: 'active' });
  await qemu.qmp.execute('migrate_cancel');
  await qemu.shows(afterCancel);
});

conforms('full-disk-runs-on', async (lab) => {
  const qemu = await lab.running(counting(lab));
  const small = join(lab.dir, 'small');
  mkdirSync(small);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small]);
  try {
    await save(qemu, join(small, 'memory'));
    await qemu.shows({ runstate: 'running', migration: 'failed' });
    expect(await qemu.qmp.execute('query-migrate')).toMatchObject({ 'error-desc': expect.stringMatching(/no space left/i) });
  } finally {
    // QEMU may have the file open a moment longer.
    execFileSync('umount', ['-l', small]);
  }
});

conforms('shut-down-while-saved-loads-as-shutdown', async (lab) => {
  const machine = [...counting(lab), '-no-shutdown', '-action', 'reboot=shutdown'];
  const qemu = await lab.running(machine);
  const path = join(lab.dir, 'memory');
  await save(qemu, path, 10_000);
  await qemu.shows({ runstate: 'running', migration: 'active' });
  await qemu.qmp.execute('system_reset');
  await qemu.shows({ runstate: 'shutdown', migration: 'active' });
  await qemu.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0 });
  await qemu.shows({ runstate: 'postmigrate', migration: 'completed' });
  qemu.kill();
  await qemu.exited;
  const back = await loading(lab, machine, path);
  await back.shows({ runstate: 'shutdown', migration: 'completed' });
  await expect(back.qmp.execute('cont')).rejects.toThrow();
  expect((await back.now()).runstate).toBe('shutdown');
});

conforms('damaged-memory-is-refused', async (lab) => {
  const { machine, path } = await saved(lab);
  const { size } = statSync(path);
  for (const length of [0, 4_096, Math.floor(size / 2)]) {
    const cut = join(lab.dir, `cut-${length}`);
    copyFileSync(path, cut);
    truncateSync(cut, length);
    const qemu = await lab.start({ incoming: true, extra: machine });
    const told: string[] = [];
    qemu.qmp.on(({ event }) => told.push(event));
    await loadMemory(qemu.qmp, cut).catch(() => undefined);
    await qemu.exited;
    expect([length, told.includes('RESUME')]).toEqual([length, false]);
  }
  const qemu = await lab.start({ incoming: true, extra: machine });
  await expect(loadMemory(qemu.qmp, join(lab.dir, 'none'))).rejects.toThrow(/No such file/);
  expect((await qemu.now()).runstate).toBe('inmigrate');
});

conforms('cut-tail-is-not-noticed', async (lab) => {
  const { machine, path } = await saved(lab);
  truncateSync(path, statSync(path).size - 4_096);
  await loaded(lab, machine, path);
});

conforms('spent-memory-loads-again', async (lab) => {
  const { machine, path, bytes } = await saved(lab);
  const first = await loaded(lab, machine, path);
  await first.qmp.execute('cont');
  await first.shows({ runstate: 'running' });
  first.kill();
  await first.exited;
  const second = await loaded(lab, machine, path);
  expect((await ram(lab, second)).equals(bytes)).toBe(true);
});
