/**
 * A disk of a lab's host: a file system of its own on a block device of its own, which can be full and can be slow. The device is a loop over a file that qemu-storage-daemon exports by FUSE through
 * its throttle filter: kernels without device-mapper have no other device whose speed can be changed while it is used.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Blocks of 1 KiB: a file that grows needs another one soon, so that a full disk is felt. */
const MKFS = ['-q', '-b', '1024', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0'];
const GROUP = '/objects/speed';

export class HostDisk {
  /** Where it is mounted. */
  readonly mount: string;
  readonly #files: string;
  readonly #device: string;

  private constructor(mount: string, files: string, device: string) {
    this.mount = mount;
    this.#files = files;
    this.#device = device;
  }

  /** Makes an empty disk and mounts it at `mount`; `files` is a directory for what is behind it. */
  static async make(mount: string, files: string, mib: number): Promise<HostDisk> {
    await mkdir(files, { recursive: true });
    await mkdir(mount, { recursive: true });
    const [image, exported] = [path.join(files, 'image'), path.join(files, 'device')];
    await writeFile(image, '');
    await truncate(image, mib * 1_048_576);
    await writeFile(exported, '');
    await run('qemu-storage-daemon', [
      ...['--blockdev', `driver=file,node-name=file,filename=${image}`],
      ...['--object', 'throttle-group,id=speed'],
      ...['--blockdev', 'driver=throttle,node-name=throttled,throttle-group=speed,file=file'],
      ...['--export', `type=fuse,id=device,node-name=throttled,mountpoint=${exported},writable=on`],
      ...['--chardev', `socket,id=qmp,path=${path.join(files, 'qmp')},server=on,wait=off`, '--monitor', 'chardev=qmp'],
      ...['--pidfile', path.join(files, 'pid'), '--daemonize'],
    ]);
    await run('mkfs.ext4', [...MKFS, exported]);
    const device = (await run('losetup', ['--show', '--find', exported])).stdout.trim();
    const disk = new HostDisk(mount, files, device);
    try {
      await run('mount', [device, mount]);
    } catch (error) {
      await disk.remove();
      throw error;
    }
    return disk;
  }

  /** Nothing more fits: not a byte that needs a block. */
  async fill(): Promise<void> {
    const script =
      'fallocate -l "$(df --output=avail -B1 "$0" | tail -1)" "$0/.full"; dd if=/dev/zero of="$0/.rest" bs=1k 2>/dev/null; sync -f "$0"';
    await run('sh', ['-c', script, this.mount]);
  }

  async free(): Promise<void> {
    for (const name of ['.full', '.rest']) await rm(path.join(this.mount, name), { force: true });
  }

  /** As many reads and writes a second; 0: as many as it can. */
  async limit(operationsPerSecond: number): Promise<void> {
    const socket = connect(path.join(this.#files, 'qmp'));
    try {
      await once(socket, 'connect');
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
      await lines.next();
      const value = { 'iops-total': operationsPerSecond };
      for (const command of [
        { execute: 'qmp_capabilities' },
        { execute: 'qom-set', arguments: { path: GROUP, property: 'limits', value } },
      ]) {
        socket.write(`${JSON.stringify(command)}\n`);
        const answer: unknown = JSON.parse(String((await lines.next()).value));
        if (typeof answer === 'object' && answer !== null && 'error' in answer) throw new Error(JSON.stringify(answer.error));
      }
    } finally {
      socket.destroy();
    }
  }

  /** Also while something still uses it. */
  async remove(): Promise<void> {
    await this.limit(0).catch(() => {});
    await run('umount', ['--lazy', this.mount]).catch(() => {});
    await run('losetup', ['--detach', this.#device]).catch(() => {});
    const pid = Number(await readFile(path.join(this.#files, 'pid'), 'utf8').catch(() => '0'));
    if (pid > 0) {
      try {
        // Not asked: one whose disk has just gone may hear of it for ever. Nothing in it is of use any more.
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
    // Its end takes the device away, an instant later.
    await run('umount', ['--lazy', path.join(this.#files, 'device')]).catch(() => {});
    await rm(this.#files, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
