import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certificateSubject, hostCertificateUri } from '@godwit/contract/certificate-names';
import { afterAll, expect, test } from 'vitest';
import { createTestCa } from '../../identity/test-ca.ts';
import { unsentBytes } from '../../migration/unsent-bytes.ts';
import { dhParametersFile, dhParametersPem } from '../../qemu/dh-parameters.ts';
import type { QmpEvent } from '../../qemu/qmp-client.ts';
import { DISK_BEHAVIOURS, type DiskBehaviour } from './disk-behaviours.ts';
import { afterCancel, migrate, pause, TinyLab, type TinyQemu } from './tiny-qemu.ts';

const tested = new Set<string>();
const conforms = (behaviour: DiskBehaviour, run: (lab: TinyLab) => Promise<void>): void => {
  tested.add(behaviour);
  test(`${behaviour}: ${DISK_BEHAVIOURS[behaviour]}`, { timeout: 30_000 }, async () => {
    await using lab = new TinyLab();
    await expect(run(lab)).resolves.toBeUndefined();
  });
};
afterAll(() => {
  expect(Object.keys(DISK_BEHAVIOURS).filter((name) => !tested.has(name))).toEqual([]);
});

const mebibyte = 1_048_576;
const size = 8 * mebibyte;
/** Long enough for what must not happen. */
const whileMs = 300;
const eventMs = 10_000;

/** A sparse raw file; `filled` bytes of it are not zeros. */
function rawDisk(lab: TinyLab, name: string, filled: number): string {
  const path = join(lab.dir, name);
  writeFileSync(path, Buffer.alloc(filled, name));
  truncateSync(path, size);
  return path;
}

const fileNode = (path: string, format = 'raw', more: object = {}): readonly string[] => [
  '-blockdev',
  JSON.stringify({ driver: 'file', 'node-name': 'file', filename: path, locking: 'off', discard: 'unmap' }),
  '-blockdev',
  JSON.stringify({ driver: format, 'node-name': 'disk', file: 'file', discard: 'unmap', ...more }),
];
const device: readonly string[] = ['-device', 'virtio-blk-pci,id=vd0,drive=disk'];

/** What the guest would do with its disk. */
async function io(qemu: TinyQemu, command: string): Promise<void> {
  const line = `qemu-io -d /machine/peripheral/vd0/virtio-backend "${command}"`;
  // What it says goes to QEMU's own output; only a refusal is answered.
  const said = await qemu.qmp.execute('human-monitor-command', { 'command-line': line }, { timeoutMs: eventMs });
  if (said !== '') throw new Error(String(said));
}
const write = (qemu: TinyQemu, byte: number): Promise<void> => io(qemu, `write -P ${byte} 0 64k`);

async function exported(lab: TinyLab, name: string, extra: readonly string[]): Promise<{ readonly qemu: TinyQemu; readonly path: string }> {
  const qemu = await lab.start({ extra });
  const path = join(lab.dir, `${name}.nbd`);
  await qemu.qmp.execute('nbd-server-start', { addr: { type: 'unix', data: { path } } });
  await qemu.qmp.execute('block-export-add', { type: 'nbd', id: 'e', 'node-name': 'disk', name: 'disk', writable: true });
  return { qemu, path };
}

const about =
  (...names: readonly string[]) =>
  (event: QmpEvent) =>
    names.includes(event.event) && event.data['device'] === 'm';
const end = about('BLOCK_JOB_COMPLETED', 'BLOCK_JOB_CANCELLED');
const cancel = (source: TinyQemu): Promise<unknown> => source.qmp.execute('block-job-cancel', { device: 'm' });

/** Begins; resolves when it is ready, unless told not to wait. */
async function mirror(source: TinyQemu, path: string, more: object = {}, wait = true): Promise<void> {
  await source.qmp.execute('blockdev-add', {
    driver: 'nbd',
    'node-name': 't',
    server: { type: 'unix', path },
    export: 'disk',
    discard: 'unmap',
  });
  const ready = source.qmp.next(about('BLOCK_JOB_READY'), eventMs);
  ready.catch(() => undefined);
  const errors = { 'on-source-error': 'report', 'on-target-error': 'report' };
  await source.qmp.execute('blockdev-mirror', { 'job-id': 'm', device: 'disk', target: 't', sync: 'full', ...errors, ...more });
  if (wait) await ready;
}

async function pair(lab: TinyLab, more: object = {}): Promise<{ source: TinyQemu; target: TinyQemu; from: string; to: string }> {
  const [from, to] = [rawDisk(lab, 'from', 2 * mebibyte), rawDisk(lab, 'to', 0)];
  const source = await lab.running([...fileNode(from), ...device]);
  const { qemu: target, path } = await exported(lab, 'to', fileNode(to));
  await mirror(source, path, more);
  return { source, target, from, to };
}

conforms('ended-mirror-is-whole', async (lab) => {
  const { source, from, to } = await pair(lab);
  await write(source, 7);
  await source.qmp.execute('stop');
  const ended = source.qmp.next(end, eventMs);
  await cancel(source);
  const { event, data } = await ended;
  expect(event).toBe('BLOCK_JOB_COMPLETED');
  expect(data['error']).toBeUndefined();
  expect(data['len']).toBe(data['offset']);
  expect(readFileSync(to)[0]).toBe(7);
  expect(readFileSync(to).equals(readFileSync(from))).toBe(true);
});

conforms('ended-mirror-was-flushed', async (lab) => {
  const [from, to] = [rawDisk(lab, 'from', mebibyte), rawDisk(lab, 'to', 0)];
  const source = await lab.running([...fileNode(from), ...device]);
  const failing = {
    driver: 'blkdebug',
    'node-name': 'failing',
    image: 'disk',
    'inject-error': [{ event: 'none', iotype: 'flush', errno: 5 }],
  };
  const target = await lab.start({ extra: [...fileNode(to), '-blockdev', JSON.stringify(failing)] });
  const path = join(lab.dir, 'flush.nbd');
  await target.qmp.execute('nbd-server-start', { addr: { type: 'unix', data: { path } } });
  await target.qmp.execute('block-export-add', { type: 'nbd', id: 'e', 'node-name': 'failing', name: 'disk', writable: true });
  const ended = source.qmp.next(end, eventMs);
  // It does not even become ready.
  await mirror(source, path, {}, false);
  const { event, data } = await ended;
  expect([event, data['error']]).toEqual(['BLOCK_JOB_COMPLETED', 'Input/output error']);
});

conforms('unready-cancel-is-no-success', async (lab) => {
  const [from, to] = [rawDisk(lab, 'from', 4 * mebibyte), rawDisk(lab, 'to', 0)];
  const source = await lab.running([...fileNode(from), ...device]);
  const { path } = await exported(lab, 'to', fileNode(to));
  await mirror(source, path, { speed: 65_536 }, false);
  const ended = source.qmp.next(end, eventMs);
  await cancel(source);
  expect((await ended).event).toBe('BLOCK_JOB_CANCELLED');
});

conforms('source-keeps-its-disk', async (lab) => {
  const { source, from, to } = await pair(lab);
  const ended = source.qmp.next(end, eventMs);
  await cancel(source);
  await ended;
  await write(source, 9);
  await io(source, 'flush');
  expect([readFileSync(from)[0], readFileSync(to)[0]]).toEqual([9, 'f'.charCodeAt(0)]);
});

conforms('background-write-does-not-wait', async (lab) => {
  const { source, target } = await pair(lab);
  target.kill('SIGSTOP');
  await write(source, 5);
});

conforms('blocking-write-waits', async (lab) => {
  const { source, target, to } = await pair(lab, { 'copy-mode': 'write-blocking' });
  target.kill('SIGSTOP');
  let written = false;
  const writing = write(source, 5).then(() => {
    written = true;
  });
  await pause(whileMs);
  expect(written).toBe(false);
  target.kill('SIGCONT');
  await writing;
  expect(readFileSync(to)[0]).toBe(5);
});

conforms('dead-target-ends-mirror', async (lab) => {
  const [from, to] = [rawDisk(lab, 'from', 4 * mebibyte), rawDisk(lab, 'to', 0)];
  const source = await lab.running([...fileNode(from), ...device]);
  const { qemu: target, path } = await exported(lab, 'to', fileNode(to));
  const ended = source.qmp.next(end, eventMs);
  await mirror(source, path, { speed: mebibyte }, false);
  target.kill();
  const { event, data } = await ended;
  expect([event, typeof data['error']]).toEqual(['BLOCK_JOB_COMPLETED', 'string']);
  await write(source, 3);
  expect((await source.now()).runstate).toBe('running');
});

conforms('dead-target-spoils-the-end', async (lab) => {
  const { source, target } = await pair(lab);
  target.kill();
  await target.exited;
  const ended = source.qmp.next(end, eventMs);
  await pause(whileMs);
  expect(await source.qmp.execute('query-block-jobs')).toMatchObject([{ device: 'm', ready: true }]);
  await source.qmp.execute('stop');
  await cancel(source);
  expect(typeof (await ended).data['error']).toBe('string');
});

conforms('yank-ends-mirror', async (lab) => {
  const { source, target } = await pair(lab);
  target.kill('SIGSTOP');
  await write(source, 3);
  const ended = source.qmp.next(end, eventMs);
  await pause(whileMs);
  expect(await source.qmp.execute('query-block-jobs')).toHaveLength(1);
  await source.qmp.execute('yank', { instances: [{ type: 'block-node', 'node-name': 't' }] });
  expect(typeof (await ended).data['error']).toBe('string');
  await write(source, 4);
  expect((await source.now()).runstate).toBe('running');
});

conforms('hanging-mirror-tells-an-old-debt', async (lab) => {
  const { source, target } = await pair(lab);
  const told = async (): Promise<unknown> => {
    const [job] = (await source.qmp.execute('query-block-jobs')) as readonly { readonly len: number; readonly offset: number }[];
    return { behind: (job?.len ?? 0) - (job?.offset ?? 0) };
  };
  target.kill('SIGSTOP');
  // The same chunk twice: the mirror waits for the first before it takes the second.
  await write(source, 3);
  await expect.poll(told, { timeout: eventMs }).toEqual({ behind: 65_536 });
  await write(source, 4);
  await expect.poll(() => unsentBytes(source.qmp, eventMs), { timeout: eventMs }).toBe(65_536);
  await io(source, 'write -P 5 1m 1m');
  await pause(whileMs);
  expect(await unsentBytes(source.qmp, eventMs)).toBe(65_536 + mebibyte);
  expect(await told()).toEqual({ behind: 65_536 });
  target.kill('SIGCONT');
  await expect.poll(told, { timeout: eventMs }).toEqual({ behind: 0 });
  expect(await unsentBytes(source.qmp, eventMs)).toBe(0);
});

conforms('forced-cancel-ends-mirror', async (lab) => {
  const { source, target } = await pair(lab);
  target.kill('SIGSTOP');
  await write(source, 3);
  const ended = source.qmp.next(end, eventMs);
  await source.qmp.execute('block-job-cancel', { device: 'm', force: true });
  await ended;
  await write(source, 4);
  expect((await source.now()).runstate).toBe('running');
});

conforms('sparse-stays-sparse', async (lab) => {
  const [from, to] = [rawDisk(lab, 'from', mebibyte), join(lab.dir, 'to.qcow2')];
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', to, String(size)]);
  const source = await lab.running([...fileNode(from), ...device]);
  const { path } = await exported(lab, 'to', fileNode(to, 'qcow2'));
  await mirror(source, path);
  const ended = source.qmp.next(end, eventMs);
  await cancel(source);
  await ended;
  expect(statSync(to).blocks * 512).toBeLessThan(2 * mebibyte);
});

conforms('top-copies-the-overlay', async (lab) => {
  const image = rawDisk(lab, 'image', 4 * mebibyte);
  const overlays = ['from.qcow2', 'to.qcow2'].map((name) => join(lab.dir, name));
  for (const overlay of overlays)
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', image, '-F', 'raw', overlay, String(size)]);
  const [from = '', to = ''] = overlays;
  const source = await lab.running([...fileNode(from, 'qcow2'), ...device]);
  await write(source, 6);
  const { path } = await exported(lab, 'to', fileNode(to, 'qcow2'));
  await mirror(source, path, { sync: 'top' });
  const ended = source.qmp.next(end, eventMs);
  await cancel(source);
  await ended;
  expect(statSync(to).blocks * 512).toBeLessThan(mebibyte);
  expect(execFileSync('qemu-img', ['compare', '-q', '-U', from, to]).toString()).toBe('');
});

conforms('cont-beside-export-accepted', async (lab) => {
  const [from, to] = [rawDisk(lab, 'from', mebibyte), rawDisk(lab, 'to', 0)];
  const source = await lab.running([...fileNode(from), ...device]);
  const destination = await lab.listening([...fileNode(to), ...device], true);
  const path = join(lab.dir, 'to.nbd');
  await destination.qmp.execute('nbd-server-start', { addr: { type: 'unix', data: { path } } });
  await destination.qmp.execute('block-export-add', { type: 'nbd', id: 'e', 'node-name': 'disk', name: 'disk', writable: true });
  await migrate(source, destination);
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  await destination.control.cont();
  await destination.shows({ runstate: 'running' });
  expect(await destination.qmp.execute('query-block-exports')).toHaveLength(1);
});

/** A guest that writes one sector after the other (INT 13h, AH=43, with the address packet at 0x7c40), the first of them where there is no room: once, if the room comes back. */
function writer(path: string, full: boolean): readonly string[] {
  const code = [
    0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x40, 0x7c, 0xb4, 0x43, 0xb0, 0x00, 0xb2, 0x80, 0xcd, 0x13, 0xff, 0x06, 0x48, 0x7c, 0xeb, 0xef,
  ];
  const packet = [0x10, 0x00, 0x01, 0x00, 0x00, 0x7c, 0x00, 0x00, 0x08, 0, 0, 0, 0, 0, 0, 0];
  const boot = Buffer.alloc(512, 0x90);
  boot.set(code);
  boot.set(packet, 0x40);
  boot.set([0x55, 0xaa], 510);
  if (full) {
    writeFileSync(path, boot);
    truncateSync(path, size);
  }
  const fullOnce = { driver: 'blkdebug', image: 'file', 'inject-error': [{ event: 'none', iotype: 'write', errno: 28, once: true }] };
  return [
    '-blockdev',
    JSON.stringify({ driver: 'file', 'node-name': 'file', filename: path, locking: 'off' }),
    '-blockdev',
    JSON.stringify({ 'node-name': 'disk', ...(full ? fullOnce : { driver: 'raw', file: 'file' }) }),
    '-device',
    'virtio-blk-pci,id=vd0,drive=disk,werror=stop,bootindex=0',
  ];
}

async function stoppedByFullDisk(lab: TinyLab, path: string): Promise<TinyQemu> {
  const source = await lab.start({ extra: writer(path, true) });
  const told = source.qmp.next(({ event }) => event === 'BLOCK_IO_ERROR', eventMs);
  await source.qmp.execute('cont');
  expect((await told).data).toMatchObject({ action: 'stop', nospace: true });
  await source.shows({ runstate: 'io-error' });
  return source;
}

conforms('io-error-arrives-as-io-error', async (lab) => {
  const path = join(lab.dir, 'full');
  const source = await stoppedByFullDisk(lab, path);
  const destination = await lab.listening(writer(path, false));
  await migrate(source, destination);
  await destination.shows({ runstate: 'io-error', migration: 'completed' });
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await pause(whileMs);
  expect(await destination.now()).toEqual({ runstate: 'io-error', migration: 'completed' });
  const signature = (): readonly number[] => [...readFileSync(path).subarray(8 * 512 + 510, 8 * 512 + 512)];
  expect(signature()).toEqual([0, 0]);
  await destination.qmp.execute('cont');
  await destination.shows({ runstate: 'running' });
  // The write that found no room: of what stands at 0x7c00, to the eighth sector.
  await expect.poll(signature, { timeout: eventMs }).toEqual([0x55, 0xaa]);
});

conforms('io-error-stays-after-cancel', async (lab) => {
  const source = await stoppedByFullDisk(lab, join(lab.dir, 'full'));
  const destination = await lab.listening(writer(join(lab.dir, 'full'), false));
  await migrate(source, destination, 'active');
  await source.qmp.execute('migrate_cancel');
  await source.shows({ migration: afterCancel.migration });
  await pause(whileMs);
  expect((await source.now()).runstate).toBe('io-error');
});

conforms('export-asks-who-comes', async (lab) => {
  const ca = await createTestCa();
  const folder = async (name: string, id: string): Promise<string> => {
    const dir = join(lab.dir, name);
    const { privateKeyPem, certificatePem } = await ca.host(id as Parameters<typeof ca.host>[0], ['127.0.0.1']);
    mkdirSync(dir);
    writeFileSync(join(dir, 'ca-cert.pem'), ca.caPem);
    writeFileSync(join(dir, dhParametersFile), dhParametersPem);
    for (const end of ['server', 'client']) {
      writeFileSync(join(dir, `${end}-key.pem`), privateKeyPem);
      writeFileSync(join(dir, `${end}-cert.pem`), certificatePem);
    }
    return dir;
  };
  const ids = ['a', 'b', 'c'].map((letter) => `${letter.repeat(8)}-0000-4000-8000-000000000001`);
  const dirs = await Promise.all(ids.map((id, index) => folder(`tls${index}`, id)));
  const target = await lab.start({ extra: fileNode(rawDisk(lab, 'to', 0)) });
  await target.qmp.execute('object-add', {
    'qom-type': 'tls-creds-x509',
    id: 'own',
    dir: dirs[0],
    endpoint: 'server',
    'verify-peer': true,
  });
  await target.qmp.execute('object-add', {
    'qom-type': 'authz-simple',
    id: 'who',
    identity: certificateSubject(hostCertificateUri(ids[1] ?? '')),
  });
  // Below those that the kernel gives to whoever connects; the next one where somebody listens.
  const listens = async (candidate: string): Promise<string> => {
    await target.qmp.execute('nbd-server-start', {
      addr: { type: 'inet', data: { host: '127.0.0.1', port: candidate } },
      'tls-creds': 'own',
      'tls-authz': 'who',
    });
    return candidate;
  };
  let candidate = 20_000 + (process.pid % 10_000);
  const taken = (error: unknown): Promise<string> => {
    if (!String(error).includes('in use')) throw error;
    candidate += 1;
    return listens(String(candidate)).catch(taken);
  };
  const port = await listens(String(candidate)).catch(taken);
  await target.qmp.execute('block-export-add', { type: 'nbd', id: 'e', 'node-name': 'disk', name: 'disk', writable: true });
  const source = await lab.start();
  const connect = async (name: string, dir: string | undefined): Promise<unknown> => {
    if (dir !== undefined)
      await source.qmp.execute('object-add', { 'qom-type': 'tls-creds-x509', id: name, dir, endpoint: 'client', 'verify-peer': true });
    return source.qmp.execute('blockdev-add', {
      driver: 'nbd',
      'node-name': `t-${name}`,
      server: { type: 'inet', host: '127.0.0.1', port },
      export: 'disk',
      ...(dir !== undefined && { 'tls-creds': name, 'tls-hostname': '127.0.0.1' }),
    });
  };
  await expect(connect('plain', undefined)).rejects.toThrow();
  await expect(connect('other', dirs[2])).rejects.toThrow();
  await expect(connect('named', dirs[1])).resolves.toBeDefined();
});
