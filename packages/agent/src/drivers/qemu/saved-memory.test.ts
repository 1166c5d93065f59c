import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { as, asEpoch, type ServerId } from '@godwit/domain/ids';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runDir } from '../../qemu/run-dir.ts';
import type { Pool } from '../../storage/pool.ts';
import { beginMemory, memoryRoom, readMemory, removeMemories, removeMemory, syncMemory } from './saved-memory.ts';

const serverId = as<ServerId>('11111111-1111-4111-8111-111111111111');
let dir: string;
let folder: string;
let path: string;
let warnings: string[];
const spec = { serverId, disks: [], nics: [] } as unknown as GuestSpec;
const host = () => ({
  config: { stateDir: join(dir, 'state') },
  pools: new Map([['shared', { path: join(dir, 'pool') } as Pool]]),
  log: { debug: () => {}, info: () => {}, error: () => {}, warn: (_: unknown, words: string) => void warnings.push(words) },
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'godwit-memory-'));
  warnings = [];
  folder = join(dir, 'pool', 'disks', serverId);
  path = join(folder, 'memory-5');
  await mkdir(runDir(join(dir, 'state'), serverId).dir, { recursive: true });
});
afterEach(async () => {
  await removeMemory(host(), serverId, asEpoch(5));
  await rm(dir, { recursive: true, force: true });
});

async function isOpen(): Promise<boolean> {
  const fds = await readdir('/proc/self/fd');
  const targets = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.some((target) => target.startsWith(path));
}

test('the file is open from before anybody writes to it until it is durable, so that no lost write is missed', async () => {
  await beginMemory(host(), spec, asEpoch(5), path);
  expect(await isOpen()).toBe(true);
  await writeFile(path, 'memory', { flag: 'r+' });
  await syncMemory(join(dir, 'state'), serverId, asEpoch(5));
  expect(await readMemory(join(dir, 'state'), serverId)).toMatchObject({ epoch: 5, bytes: 6 });
  expect(await isOpen()).toBe(false);
  // As for an agent that has not begun it: it cannot know.
  await expect(syncMemory(join(dir, 'state'), serverId, asEpoch(5))).rejects.toMatchObject({ code: 'SuspendFailed' });
});

test('another file under its name is not what was begun', async () => {
  await beginMemory(host(), spec, asEpoch(5), path);
  await writeFile(`${path}.other`, 'memory');
  await rename(`${path}.other`, path);
  await expect(syncMemory(join(dir, 'state'), serverId, asEpoch(5))).rejects.toMatchObject({ code: 'SuspendFailed' });
  expect(await readMemory(join(dir, 'state'), serverId)).toMatchObject({ bytes: null });
});

test('a memory that is given up leaves neither file nor record, also when its record is not readable; a later one stays', async () => {
  await beginMemory(host(), spec, asEpoch(5), path);
  for (const name of ['memory-4', 'memory-6', 'root.qcow2']) await writeFile(join(folder, name), '');
  await writeFile(join(runDir(join(dir, 'state'), serverId).dir, 'memory.json'), 'torn');
  await removeMemory(host(), serverId, asEpoch(5));
  expect(await isOpen()).toBe(false);
  expect((await readdir(folder)).toSorted()).toEqual(['memory-6', 'root.qcow2']);
  expect(warnings).toHaveLength(1);
  expect(await readMemory(join(dir, 'state'), serverId)).toBeNull();
});

test('what another host has left on a shared pool goes with the server', async () => {
  await mkdir(folder, { recursive: true });
  for (const name of ['memory-5', 'root.qcow2']) await writeFile(join(folder, name), name);
  await removeMemories(host(), serverId, asEpoch(8));
  expect(await readdir(folder)).toEqual(['root.qcow2']);
  expect(await readFile(join(folder, 'root.qcow2'), 'utf8')).toBe('root.qcow2');
});

test('room for a memory is claimed where it goes: in the pool of the first disk, else beside the journals of this host', () => {
  const { stateDir } = host().config;
  const room = (disks: readonly object[]) => memoryRoom(host(), { disks } as unknown as GuestSpec);
  expect(room([{ path: join(folder, 'root.qcow2') }]).path).toBe(join(dir, 'pool'));
  for (const disks of [[], [{ rbd: { pool: 'vms', image: 'godwit-a' } }]]) expect(room(disks).path).toBe(stateDir);
});
