import { open } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskFormat } from '@godwit/domain/guest-spec';
import { isQcow2, qcow2HeaderBytes, qcow2Refusal, readQcow2Header } from './qcow2-header.ts';
import { qemuImg } from './qemu-img.ts';

export type ImageFacts = { readonly format: DiskFormat; readonly virtualSizeBytes: number; readonly fileBytes: number };

/**
 * Looks into an image that a user supplied, before anything of it is used. Returns its facts, or throws GodwitError ImageUnsafe with the reason: a qcow2 with
 * a backing or data file, encrypted, corrupt or malformed, or content of another format than declared. Nothing that the image names is opened.
 */
export async function inspectImage(path: string, declared: DiskFormat): Promise<ImageFacts> {
  const { head, fileBytes } = await readHead(path);
  if (declared === 'raw') {
    if (isQcow2(head)) throw unsafe(path, 'it is declared raw and is a qcow2 image: a guest would see the container instead of its disk');
    if (fileBytes === 0) throw unsafe(path, 'it is empty');
    return { format: 'raw', virtualSizeBytes: Math.ceil(fileBytes / 512) * 512, fileBytes };
  }
  let header;
  try {
    header = readQcow2Header(head);
  } catch (error) {
    throw unsafe(path, `it is declared qcow2 and is none: ${(error as Error).message}`, error);
  }
  const reason = qcow2Refusal(header, false);
  if (reason !== null) throw unsafe(path, reason);
  // The header names no other file, so now QEMU's own reader may look: does it open at all?
  try {
    const info = JSON.parse(await qemuImg(['info', '--output=json', '-f', 'qcow2', path], { timeoutMs: 20_000, limited: true })) as {
      'virtual-size': number;
    };
    return { format: 'qcow2', virtualSizeBytes: info['virtual-size'], fileBytes };
  } catch (error) {
    throw unsafe(path, `QEMU cannot open it: ${(error as Error).message}`, error);
  }
}

/** First bytes and size of a file. */
export async function readHead(path: string): Promise<{ readonly head: Buffer; readonly fileBytes: number }> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(qcow2HeaderBytes);
    const { bytesRead } = await file.read(head, 0, head.length, 0);
    return { head: head.subarray(0, bytesRead), fileBytes: (await file.stat()).size };
  } finally {
    await file.close();
  }
}

const unsafe = (path: string, reason: string, cause?: unknown): GodwitError =>
  new GodwitError('ImageUnsafe', `the image is refused: ${reason}`, { path }, { cause });
