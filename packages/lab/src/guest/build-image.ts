import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { LabError } from '../lab-error.ts';
import { type CpioEntry, cpioArchive } from './cpio-archive.ts';

const run = promisify(execFile);

/** The checkout: packages/lab/src/guest is four levels below it. */
export const repositoryRoot = path.resolve(import.meta.dirname, '../../../..');
const sourceDir = path.resolve(import.meta.dirname, '../../guest');

/** In load order: each needs those before it. Then those for power off and for telling the host of a panic. */
const moduleOrder = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
  'virtio_blk',
  'virtio_console',
  // Memory that is added while it runs.
  'virtio_mem',
  'button',
  'pvpanic',
  // The driver of the ISA device too, which is what guests get: ACPI names it QEMU0001.
  'pvpanic-mmio',
  // To mount a config drive.
  'cdrom',
  'isofs',
] as const;

/** A kernel may have any of the others built in; without these two as files something is wrong with the extraction. */
const requiredModules: readonly string[] = ['virtio_net', 'virtio_blk'];

const compilerFlags = [
  '-static',
  '-Os',
  '-std=gnu11',
  '-D_GNU_SOURCE',
  '-pthread',
  '-s',
  '-Wall',
  '-Wextra',
  '-Wno-format-truncation',
  '-ffunction-sections',
  '-fdata-sections',
  '-Wl,--gc-sections',
] as const;

const diskSizeMib = 64;

export interface GuestImage {
  readonly kernelPath: string;
  readonly initrdPath: string;
  /** A blank qcow2 of 64 MiB: the disk writer's. */
  readonly diskPath: string;
  /** Changes when and only when an input of the initrd changes. */
  readonly digest: string;
}

export interface GuestBuildPaths {
  /** Holds vmlinuz and modules/*.ko (or *.ko.xz); `make setup` fills it. */
  readonly kernelDir?: string;
  readonly outDir?: string;
}

/**
 * Builds the demo guest, or returns the one already built from the same inputs (a few milliseconds). When it returns, all
 * three files exist and are complete, also when two builds run at once. Throws LabError GUEST_KERNEL_MISSING or
 * GUEST_BUILD_FAILED.
 */
export async function buildGuestImage(paths: GuestBuildPaths = {}): Promise<GuestImage> {
  const kernelDir = paths.kernelDir ?? path.join(repositoryRoot, '.cache/kernel');
  const outDir = paths.outDir ?? path.join(repositoryRoot, '.cache/guest');
  const sources = (await readdir(sourceDir)).filter((name) => /\.[ch]$/.test(name)).sort();
  const modules = await readModules(kernelDir);
  const hash = createHash('sha256').update(JSON.stringify([compilerFlags, moduleOrder, diskSizeMib]));
  for (const name of sources) hash.update(name).update(await readFile(path.join(sourceDir, name)));
  for (const module of modules) hash.update(module.name).update(module.content);
  const digest = hash.digest('hex').slice(0, 16);
  const image: GuestImage = {
    kernelPath: path.join(kernelDir, 'vmlinuz'),
    initrdPath: path.join(outDir, digest, 'initrd.gz'),
    diskPath: path.join(outDir, digest, 'disk.qcow2'),
    digest,
  };
  if (await exists(path.join(outDir, digest))) return image;
  await mkdir(outDir, { recursive: true });
  const scratch = await mkdtemp(path.join(outDir, 'build-'));
  try {
    const init = path.join(scratch, 'init');
    const objects = sources.filter((name) => name.endsWith('.c')).map((name) => path.join(sourceDir, name));
    await command('gcc', [...compilerFlags, '-o', init, ...objects]);
    await writeFile(path.join(scratch, 'initrd.gz'), gzipSync(cpioArchive(initramfs(await readFile(init), modules)), { level: 9 }));
    await command('qemu-img', ['create', '-q', '-f', 'qcow2', path.join(scratch, 'disk.qcow2'), `${diskSizeMib}M`]);
    await rm(init);
    await rename(scratch, path.join(outDir, digest)).catch(async (error: unknown) => {
      // Another build of the same inputs won; its files are as good as ours.
      if (!(await exists(path.join(outDir, digest)))) throw error;
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return image;
}

interface KernelModule {
  readonly name: string;
  readonly content: Buffer;
}

async function readModules(kernelDir: string): Promise<readonly KernelModule[]> {
  const present = new Set(await readdir(path.join(kernelDir, 'modules')).catch((): string[] => []));
  const modules: KernelModule[] = [];
  for (const name of moduleOrder) {
    const file = path.join(kernelDir, 'modules', `${name}.ko`);
    if (present.has(`${name}.ko`)) {
      modules.push({ name, content: await readFile(file) });
    } else if (present.has(`${name}.ko.xz`)) {
      const { stdout } = await run('xz', ['-dc', `${file}.xz`], { encoding: 'buffer', maxBuffer: 1 << 24 });
      modules.push({ name, content: stdout });
    } else if (requiredModules.includes(name)) {
      throw new LabError('GUEST_KERNEL_MISSING', `the guest kernel is not there (${file}); run "make setup"`);
    }
  }
  if (!(await exists(path.join(kernelDir, 'vmlinuz')))) {
    throw new LabError('GUEST_KERNEL_MISSING', `the guest kernel is not there (${kernelDir}/vmlinuz); run "make setup"`);
  }
  return modules;
}

function initramfs(init: Uint8Array, modules: readonly KernelModule[]): readonly CpioEntry[] {
  const order = modules.map((module) => `${module.name}.ko\n`).join('');
  return [
    { kind: 'directory', path: 'dev', mode: 0o755 },
    // The kernel opens it for PID 1 before anything is mounted.
    { kind: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
    { kind: 'file', path: 'init', mode: 0o755, content: init },
    { kind: 'directory', path: 'modules', mode: 0o755 },
    { kind: 'file', path: 'modules/order', mode: 0o644, content: Buffer.from(order) },
    ...modules.map((module) => ({ kind: 'file', path: `modules/${module.name}.ko`, mode: 0o644, content: module.content }) as const),
  ];
}

async function command(file: string, args: readonly string[]): Promise<void> {
  try {
    await run(file, args);
  } catch (error) {
    throw new LabError('GUEST_BUILD_FAILED', `building the demo guest failed at ${file}; "make setup" installs what it needs`, {
      cause: error,
    });
  }
}

async function exists(file: string): Promise<boolean> {
  return (await readdir(path.dirname(file)).catch((): string[] => [])).includes(path.basename(file));
}

if (import.meta.main) {
  const image = await buildGuestImage();
  process.stdout.write(`${JSON.stringify(image, null, 2)}\n`);
}
