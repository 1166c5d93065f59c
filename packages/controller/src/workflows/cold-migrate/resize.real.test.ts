import type { ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import type { Engine } from '../engine.ts';
import { coldMoves } from '../testing/cold-moves.ts';
import type { FakeCloud } from '../testing/fake-cloud.ts';

let database: Database;
let cloud: FakeCloud;
const { server, record, host, status, ledger, confirm, revert, consistent } = coldMoves((fresh) => ({ database, cloud } = fresh));

describe('a resize', () => {
  const flavor = (id: string, values: { ram_mib?: number; disk_gib?: number; specs?: object }) =>
    database.db
      .insertInto('flavor')
      .values({
        id,
        name: id,
        vcpus: 1,
        ram_mib: values.ram_mib ?? 1024,
        disk_gib: values.disk_gib ?? 2,
        extra_specs: JSON.stringify(values.specs ?? {}),
      })
      .execute();
  const resize = (engine: Engine, id: ServerId, flavorId: string) =>
    engine.operations.resize({ ...cloud.admin, requestId: 'req-resize' }, id, { flavorId });
  const disk = async (id: string) =>
    (await database.db.selectFrom('disk').select('size_bytes').where('server_id', '=', id).executeTakeFirstOrThrow()).size_bytes;

  it('gives the new flavor and the larger disk; reverted, the old flavor comes back and the disk stays', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('f2', {});
    const migration = await resize(engine, id, 'f2');
    await status(migration, 'finished');
    expect(await record(migration)).toMatchObject({ type: 'resize', old_flavor_id: 'f1', new_flavor_id: 'f2' });
    expect(await server(id)).toMatchObject({ vm_state: 'resized', flavor_id: 'f2', flavor: { ram_mib: 1024, disk_gib: 2 } });
    expect(await disk(id)).toBe(2 * 2 ** 30);
    expect((await ledger(id)).map((one) => one.ram_mib)).toEqual([512, 1024]);
    await revert(engine, id);
    await status(migration, 'reverted');
    expect(await server(id)).toMatchObject({
      vm_state: 'active',
      flavor_id: 'f1',
      flavor: { ram_mib: 512, disk_gib: 1 },
      host_id: host('node1').id,
    });
    expect(await disk(id)).toBe(2 * 2 ** 30);
    expect((await ledger(id)).map((one) => one.ram_mib)).toEqual([512]);
    await consistent(id);
    const again = await resize(engine, id, 'f2');
    await status(again, 'finished');
    await confirm(engine, id);
    await status(again, 'confirmed');
    expect((await server(id)).flavor_id).toBe('f2');
    await consistent(id);
  });

  it('never makes a disk smaller, nor changes the kind of host or storage', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('zero', { disk_gib: 0 });
    await flavor('metal', { specs: { 'capabilities:hypervisor_type': 'ironic' } });
    await flavor('local', { specs: { 'godwit:storage': 'local' } });
    await database.db.updateTable('server').set({ flavor: sql`jsonb_set(flavor, '{disk_gib}', '4')` }).where('id', '=', id).execute();
    await flavor('small', { disk_gib: 3 });
    for (const wanted of ['nowhere', 'f1', 'zero', 'metal', 'local', 'small'])
      await expect(resize(engine, id, wanted)).rejects.toMatchObject({ code: 'BadRequest' });
    expect(await database.db.selectFrom('migration').selectAll().execute()).toEqual([]);
  });

  it('too large for every host says so, and keeps the flavor', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('huge', { ram_mib: 1_000_000 });
    const migration = await resize(engine, id, 'huge');
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({
      vm_state: 'active',
      flavor_id: 'f1',
      fault: { message: 'No valid host was found. No valid host found for resize' },
    });
    await consistent(id);
  });
});
