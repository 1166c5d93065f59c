import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { claimPlace } from '@godwit/contract/testing/claim-place';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { ipBatch } from './ip-batch.ts';
import { namespaceProcesses } from './namespace-processes.ts';
import { createNetwork, destroyNetwork, labNamespaces, setCable } from './network.ts';
import { planTopology } from './topology.ts';

const run = promisify(execFile);
const { place, free } = await claimPlace();
const one = planTopology(`gwlabt${place}`, 2);
const other = planTopology(`gwlabt${place}b`, 2);

const clear = async (): Promise<void> => {
  await destroyNetwork(one.labId);
  await destroyNetwork(other.labId);
};
// A run that was killed has left its own.
beforeEach(clear);
afterEach(clear);
afterAll(free);

/** A refusal by the other side proves the way there and back; silence or "unreachable" its absence. Port 1 has no listener. */
const reaches = async (namespace: string, address: string): Promise<boolean> => {
  const attempt = run('ip', ['netns', 'exec', namespace, 'timeout', '1', 'bash', '-c', `exec 3<>/dev/tcp/${address}/1`]);
  return attempt.then(
    () => true,
    (error: Error & { readonly stderr?: string }) => error.stderr?.includes('Connection refused') ?? false,
  );
};

/** For what must be reached: a first packet that is lost waits for the kernel's next try, a second later. */
const reachesSoon = (namespace: string, address: string): Promise<void> => expect.poll(() => reaches(namespace, address)).toBe(true);

test('hosts reach the controller and each other, the client reaches no management address, nobody has a way out', async () => {
  await createNetwork(one);
  await reachesSoon(`${one.labId}-node1`, '10.77.0.1');
  await reachesSoon(`${one.labId}-node1`, '10.77.0.12');
  expect(await reaches(one.clientNamespace, '10.77.0.1')).toBe(false);
  for (const namespace of await labNamespaces(one.labId)) {
    const { stdout } = await run('ip', ['-netns', namespace, 'route', 'show', 'default']);
    expect(stdout).toBe('');
  }
});

test('a pulled management cable cuts the host off, and plugging it in brings it back', async () => {
  await createNetwork(one);
  await setCable(one, 'mgmt-node2', 'down');
  expect(await reaches(`${one.labId}-node1`, '10.77.0.12')).toBe(false);
  await setCable(one, 'mgmt-node2', 'up');
  await reachesSoon(`${one.labId}-node1`, '10.77.0.12');
});

test('two labs stand side by side with the same addresses, and taking one down leaves the other', async () => {
  await createNetwork(one);
  await createNetwork(other);
  await destroyNetwork(one.labId);
  expect(await labNamespaces(one.labId)).toEqual([]);
  expect(await labNamespaces(other.labId)).toHaveLength(4);
  await reachesSoon(`${other.labId}-node2`, '10.77.0.1');
});

test('destroying ends processes by namespace, also those whose parent died, and leaves no namespace', async () => {
  await createNetwork(one);
  const namespace = `${one.labId}-node1`;
  // The shell ends at once; the sleeper is nobody's child.
  const orphaning = spawn('ip', ['netns', 'exec', namespace, 'sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 &'], { stdio: 'ignore' });
  await once(orphaning, 'close');
  const [sleeper] = await namespaceProcesses(namespace);
  expect(sleeper).toBeDefined();
  expect(await destroyNetwork(one.labId)).toHaveLength(4);
  expect(await labNamespaces(one.labId)).toEqual([]);
  expect((await run('ps', ['-o', 'stat=', '-p', String(sleeper)]).catch(() => ({ stdout: '' }))).stdout.trim()).toMatch(/^(Z.*)?$/);
});

test('a half-built lab is refused by create, and cleared by destroy', async () => {
  await ipBatch([`netns add ${one.fabricNamespace}`]);
  await expect(createNetwork(one)).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
  await destroyNetwork(one.labId);
  await createNetwork(one);
});

test('a step that fails leaves nothing behind', async () => {
  const broken = {
    ...one,
    steps: [...one.steps, { kind: 'bridge', namespace: one.fabricNamespace, name: 'name-much-too-long-for-linux' } as const],
  };
  await expect(createNetwork(broken)).rejects.toMatchObject({ code: 'NETWORK_COMMAND_FAILED' });
  expect(await labNamespaces(one.labId)).toEqual([]);
});

test('without the right to make namespaces the refusal says what to do', async () => {
  const script = `import { ipBatch } from '${import.meta.dirname}/ip-batch.ts'; await ipBatch(['netns add gwlabt9-fabric']).catch((error) => console.log(error.code, error.message))`;
  const { stdout } = await run('setpriv', [
    '--bounding-set=-sys_admin',
    '--inh-caps=-sys_admin',
    process.execPath,
    '--input-type=module',
    '-e',
    script,
  ]);
  expect(stdout).toMatch(/^NAMESPACES_NOT_PERMITTED .*run this as root/);
});
