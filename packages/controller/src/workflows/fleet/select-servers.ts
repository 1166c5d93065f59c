import type { Selection } from '@godwit/contract/schemas/godwit/fleet-requests';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';

export type NamedHost = { readonly id: HostId; readonly name: string };

/** The hosts of these names, in this order. Throws HostNotFound naming the first that is not there, BareMetalTarget for bare metal. */
export async function hostsNamed(db: Db, names: readonly string[]): Promise<readonly NamedHost[]> {
  if (names.length === 0) return [];
  const rows = await db
    .selectFrom('host')
    .select(['id', 'name', 'hypervisor_type'])
    .where('name', 'in', [...names])
    .where('deleted_at', 'is', null)
    .execute();
  const byName = new Map(rows.map((row) => [row.name, row]));
  return names.map((name) => {
    const row = byName.get(name);
    if (row === undefined) throw new GodwitError('HostNotFound', `Compute host ${name} could not be found.`);
    if (row.hypervisor_type === 'ironic')
      throw new GodwitError('BareMetalTarget', `Compute host ${name} is a bare metal host; nothing is moved from or to it.`);
    return { id: as<HostId>(row.id), name };
  });
}

/** Ids of the servers that a selection means, oldest first. Throws HostNotFound, BareMetalTarget, NotFound, ServerNotFound for what is not there; may be empty. */
export async function selectServers(db: Db, selection: Selection): Promise<readonly string[]> {
  const servers = db
    .selectFrom('server')
    .select('server.id')
    .where('server.deleted_at', 'is', null)
    .orderBy('server.created_at')
    .orderBy('server.id');
  const ids = async (query: typeof servers): Promise<readonly string[]> => (await query.execute()).map(({ id }) => id);
  if ('host' in selection || 'hosts' in selection) {
    const hosts = await hostsNamed(db, 'host' in selection ? [selection.host] : selection.hosts);
    return ids(
      servers.where(
        'server.host_id',
        'in',
        hosts.map(({ id }) => id),
      ),
    );
  }
  if ('serverGroup' in selection) {
    const group = await db
      .selectFrom('server_group')
      .select('id')
      .where('id', '=', selection.serverGroup)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (group === undefined) throw new GodwitError('NotFound', `Instance group ${selection.serverGroup} could not be found.`);
    return ids(
      servers.where('server.id', 'in', (eb) =>
        eb.selectFrom('server_group_member').select('server_id').where('group_id', '=', selection.serverGroup),
      ),
    );
  }
  if ('project' in selection) {
    const project = await db
      .selectFrom('identity_project')
      .select('id')
      .where((eb) => eb.or([eb('id', '=', selection.project), eb('name', '=', selection.project)]))
      .executeTakeFirst();
    if (project === undefined) throw new GodwitError('NotFound', `Project ${selection.project} could not be found.`);
    return ids(servers.where('server.project_id', '=', project.id));
  }
  const found = new Set(await ids(servers.where('server.id', 'in', [...selection.servers])));
  const missing = selection.servers.find((id) => !found.has(id));
  if (missing !== undefined) throw new GodwitError('ServerNotFound', `Instance ${missing} could not be found.`);
  return selection.servers;
}
