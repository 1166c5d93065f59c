import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GodwitError } from '@godwit/domain/errors';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Db } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { clearAbandonedUploads, removeUnusedImageFiles } from './clear-image-store.ts';
import { imageFile } from './image-file.ts';
import { uploadImage } from './upload-image.ts';

let server: TestServer;
let db: Db;
let dir: string;
beforeAll(async () => {
  server = await startTestServer();
  db = (await server.database()).db;
});
afterAll(() => server.stop());
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gw-images-'));
});
afterEach(async () => {
  spawnSync('umount', ['-q', join(dir, 'small')]);
  await rm(dir, { recursive: true, force: true });
});

async function queued(format: string | null = 'raw'): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('image')
    .values({ id, name: 'i', owner: 'p1', status: 'queued', disk_format: format, container_format: format === null ? null : 'bare' })
    .execute();
  return id;
}
async function* pieces(...chunks: (Buffer | Error)[]): AsyncIterable<Buffer> {
  for (const chunk of chunks) {
    if (chunk instanceof Error) throw chunk;
    yield chunk;
  }
}
const upload = (
  imageId: string,
  chunks: (Buffer | Error)[],
  over: { announcedBytes?: number; maxBytes?: number; imageDir?: string } = {},
) => uploadImage({ db, imageDir: dir, imageId, source: pieces(...chunks), announcedBytes: null, ...over });
const row = (id: string) => db.selectFrom('image').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const files = async (where = dir) => (await readdir(where, { recursive: true })).filter((name) => name !== 'incoming');
function qcow2(name: string, ...options: string[]): string {
  const path = join(tmpdir(), `gw-images-${randomUUID()}-${name}`);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options, path, '64M']);
  return path;
}
const refused = async (id: string, promise: Promise<void>, where = dir) => {
  const error = await promise.then(
    () => null,
    (thrown: GodwitError) => thrown,
  );
  const after = await row(id);
  return [error?.code, after.status, after.size_bytes, await files(where)];
};

describe('uploadImage', () => {
  it('keeps the bytes with their checksums and makes the image active', async () => {
    const id = await queued();
    const data = Buffer.from('kernel or disk, some bytes');
    await upload(id, [data.subarray(0, 5), data.subarray(5)], { announcedBytes: data.length });
    const image = await row(id);
    expect([image.status, image.size_bytes, image.virtual_size_bytes, image.md5, image.sha512]).toEqual([
      'active',
      data.length,
      data.length,
      createHash('md5').update(data).digest('hex'),
      createHash('sha512').update(data).digest('hex'),
    ]);
    expect(await readFile((await imageFile(db, dir, id)) ?? '')).toEqual(data);
    expect(await files()).toEqual([id]);
    expect(await refused(id, upload(id, [data]))).toEqual(['Conflict', 'active', data.length, [id]]);
  });

  it('leaves nothing of an upload that is cut off, short, long or too large, and can be repeated', async () => {
    const id = await queued();
    const data = Buffer.alloc(1000, 7);
    expect(await refused(id, upload(id, [data, new Error('aborted')]))).toEqual(['ImageTruncated', 'queued', null, []]);
    expect(await refused(id, upload(id, [data], { announcedBytes: 1001 }))).toEqual(['ImageTruncated', 'queued', null, []]);
    expect(await refused(id, upload(id, [data], { announcedBytes: 999 }))).toEqual(['ImageTruncated', 'queued', null, []]);
    expect(await refused(id, upload(id, [data, data], { maxBytes: 1999 }))).toEqual(['ImageTooLarge', 'queued', null, []]);
    expect(await refused(id, upload(id, [data], { announcedBytes: 5000, maxBytes: 1999 }))).toEqual(['ImageTooLarge', 'queued', null, []]);
    await upload(id, [data]);
    expect((await row(id)).status).toBe('active');
  });

  it('leaves nothing when the disk is full', async () => {
    const small = join(dir, 'small');
    await mkdir(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]);
    const id = await queued();
    expect(
      await refused(
        id,
        upload(
          id,
          Array.from({ length: 40 }, () => Buffer.alloc(65_536, 1)),
          { imageDir: small },
        ),
        small,
      ),
    ).toEqual(['NoSpace', 'queued', null, []]);
  });

  it('takes a qcow2 with its virtual size', async () => {
    const path = qcow2('plain');
    const id = await queued('qcow2');
    await upload(id, [await readFile(path)]);
    await rm(path);
    expect((await row(id)).virtual_size_bytes).toBe(64 * 2 ** 20);
  });

  it('refuses a qcow2 that refers to another file, is encrypted, broken or not one, and a raw that is one', async () => {
    const victim = join(dir, 'victim');
    await writeFile(victim, Buffer.alloc(1024));
    const backed = qcow2('backed', '-b', '/etc/hostname', '-F', 'raw');
    const dataFile = qcow2('data', '-o', `data_file=${join(tmpdir(), `gw-images-data-${process.pid}`)}`);
    const encrypted = qcow2(
      'luks',
      '--object',
      'secret,id=s,data=secret',
      '-o',
      'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10',
    );
    const plain = qcow2('whole');
    const bytes = await Promise.all([backed, dataFile, encrypted, plain].map((path) => readFile(path)));
    const whole = bytes[3] ?? Buffer.alloc(0);
    await Promise.all(
      [backed, dataFile, encrypted, plain, join(tmpdir(), `gw-images-data-${process.pid}`), victim].map((path) =>
        rm(path, { force: true }),
      ),
    );
    const broken = Buffer.from(whole);
    broken.fill(0xff, 36, 60);
    // The sentence tells which look refused it: ours at the header comes before qemu-img opens anything.
    for (const [format, data, sentence] of [
      ['qcow2', bytes[0], 'names a backing file'],
      ['qcow2', bytes[1], 'keeps its data in another file'],
      ['qcow2', bytes[2], 'is encrypted'],
      ['qcow2', broken, 'qemu-img cannot read it'],
      ['qcow2', Buffer.from('not one'), 'has no qcow2 header'],
      ['qcow2', Buffer.alloc(0), 'has no qcow2 header'],
      ['raw', whole, 'holds a qcow2 header'],
      ['aki', whole, 'holds a qcow2 header'],
    ] as const) {
      const id = await queued(format);
      const attempt = upload(id, [data ?? Buffer.alloc(0)]);
      await expect(attempt).rejects.toThrow(sentence);
      expect(await refused(id, attempt)).toEqual(['ImageUnsafe', 'queued', null, []]);
    }
  });

  it('wants formats first, and an image that exists', async () => {
    const id = await queued(null);
    expect(await refused(id, upload(id, [Buffer.from('x')]))).toEqual(['Conflict', 'queued', null, []]);
    expect(await upload(randomUUID(), []).catch((error: GodwitError) => error.code)).toBe('NotFound');
  });

  it('one of two uploads at once wins', async () => {
    const id = await queued();
    const outcomes = await Promise.allSettled([upload(id, [Buffer.from('a')]), upload(id, [Buffer.from('b')])]);
    expect(outcomes.map((outcome) => outcome.status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await files()).toEqual([id]);
  });

  it('an image deleted during its upload stays deleted, without data', async () => {
    const id = await queued();
    async function* slow(): AsyncIterable<Buffer> {
      yield Buffer.from('a');
      await db.updateTable('image').set({ status: 'deleted', deleted_at: new Date() }).where('id', '=', id).execute();
      yield Buffer.from('b');
    }
    expect(
      await uploadImage({ db, imageDir: dir, imageId: id, source: slow(), announcedBytes: null }).catch((error: GodwitError) => error.code),
    ).toBe('NotFound');
    expect([(await row(id)).status, await files()]).toEqual(['deleted', []]);
  });
});

it('what a dead controller left is cleared, what is young is not', async () => {
  const [old, young] = [await queued(), await queued()];
  const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
  await db
    .updateTable('image')
    .set({ status: 'saving', upload_started_at: hours(2) })
    .where('id', '=', old)
    .execute();
  await db
    .updateTable('image')
    .set({ status: 'saving', upload_started_at: hours(2) })
    .where('id', '=', young)
    .execute();
  await mkdir(join(dir, 'incoming'));
  for (const id of [old, young]) await writeFile(join(dir, 'incoming', `${id}.x.part`), 'x');
  await utimes(join(dir, 'incoming', `${old}.x.part`), hours(2), hours(2));
  await clearAbandonedUploads(db, dir);
  expect([(await row(old)).status, (await row(young)).status, await readdir(join(dir, 'incoming'))]).toEqual([
    'queued',
    'saving',
    [`${young}.x.part`],
  ]);
});

it('data of a deleted image goes unless a disk was made from it', async () => {
  const [used, unused] = [await queued(), await queued()];
  const serverId = randomUUID();
  await db
    .insertInto('server')
    .values({
      id: serverId,
      name: 's',
      hostname: 's',
      project_id: 'p',
      user_id: 'u',
      vm_state: 'active',
      task_state: null,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
    })
    .execute();
  await db
    .insertInto('disk')
    .values({
      id: randomUUID(),
      server_id: serverId,
      device_index: 0,
      pool: 'p',
      storage: 'local',
      format: 'qcow2',
      size_bytes: 1,
      image_id: used,
    })
    .execute();
  for (const id of [used, unused]) {
    await upload(id, [Buffer.from('x')]);
    await db.updateTable('image').set({ status: 'deleted', deleted_at: new Date() }).where('id', '=', id).execute();
  }
  await removeUnusedImageFiles(db, dir);
  expect([await imageFile(db, dir, used), await imageFile(db, dir, unused)]).toEqual([join(dir, used), null]);
  await db.updateTable('server').set({ deleted_at: new Date() }).where('id', '=', serverId).execute();
  await removeUnusedImageFiles(db, dir);
  expect(await files()).toEqual([]);
});
