import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { GodwitError } from '@godwit/domain/errors';
import { qcow2HeaderBytes, readQcow2Header } from './qcow2-header.ts';

const run = promisify(execFile);

/** Formats that an agent can use; others are refused when the image is made. */
export const diskFormats = ['raw', 'qcow2', 'iso', 'aki', 'ari', 'ami'] as const;
export type DiskFormat = (typeof diskFormats)[number];

/** qemu-img may look at a hostile file for so long, with so much address space and processor time. */
const inspection = { timeoutMs: 20_000, addressSpaceBytes: 2 ** 30, cpuSeconds: 10 } as const;

/**
 * Checks that the file is what it is declared to be and refers to nothing outside itself. Returns its virtual size in bytes, null for a kernel or ramdisk.
 * The header is read by us first, so that qemu-img never follows a backing or data file. Throws ImageUnsafe with the reason.
 */
export async function inspectImage(path: string, format: DiskFormat): Promise<number | null> {
  const header = readQcow2Header(await firstBytes(path));
  if (format !== 'qcow2') {
    if (header !== null) throw new GodwitError('ImageUnsafe', `The image is declared as ${format} but holds a qcow2 header.`);
    return format === 'aki' || format === 'ari' ? null : await sizeOf(path);
  }
  if (header === null) throw new GodwitError('ImageUnsafe', 'The image is declared as qcow2 but has no qcow2 header.');
  if (header.namesBackingFile)
    throw new GodwitError('ImageUnsafe', 'The image names a backing file. Upload one without (qemu-img convert flattens it).');
  if (header.namesDataFile)
    throw new GodwitError('ImageUnsafe', 'The image keeps its data in another file. Upload one without (qemu-img convert).');
  if (header.encrypted) throw new GodwitError('ImageUnsafe', 'The image is encrypted, which is not supported.');
  const info = await imageInfo(path);
  if (
    info['backing-filename'] !== undefined ||
    info['full-backing-filename'] !== undefined ||
    JSON.stringify(info['format-specific'] ?? null).includes('"data-file"')
  ) {
    throw new GodwitError('ImageUnsafe', 'The image refers to another file.');
  }
  const size = info['virtual-size'];
  if (info['format'] !== 'qcow2' || typeof size !== 'number' || !Number.isSafeInteger(size))
    throw new GodwitError('ImageUnsafe', 'The image is not a valid qcow2.');
  return size;
}

async function imageInfo(path: string): Promise<Readonly<Record<string, unknown>>> {
  const limits = [`--as=${inspection.addressSpaceBytes}`, `--cpu=${inspection.cpuSeconds}`];
  try {
    const { stdout } = await run('prlimit', [...limits, 'qemu-img', 'info', '--output=json', '-f', 'qcow2', path], {
      timeout: inspection.timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 20,
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
    });
    return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    if (missing) throw new Error('qemu-img or prlimit is not installed on the controller', { cause });
    throw new GodwitError('ImageUnsafe', 'The image is not a valid qcow2: qemu-img cannot read it.', {}, { cause });
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(qcow2HeaderBytes), 0, qcow2HeaderBytes, 0);
  return buffer.subarray(0, bytesRead);
}

async function sizeOf(path: string): Promise<number> {
  await using file = await open(path, 'r');
  return (await file.stat()).size;
}
