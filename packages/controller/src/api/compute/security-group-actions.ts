import type { SecurityGroupArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import { findGroups, setPortGroups } from '../../networks/security-groups.ts';
import type { Tx } from '../../store/database.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** All ports of the server have the group as well. Throws NotFound for a group that its project has not, BadRequest for a server without a port that could have one. */
export async function addSecurityGroup(request: ComputeRequest<never>, { name }: SecurityGroupArguments): Promise<Answer> {
  assertAllowed(request.caller, 'os-security-groups:add');
  return await change(request, name, (groups, groupId) => [...groups, groupId]);
}

/** No port of the server has the group any more. Throws NotFound when none has it. */
export async function removeSecurityGroup(request: ComputeRequest<never>, { name }: SecurityGroupArguments): Promise<Answer> {
  assertAllowed(request.caller, 'os-security-groups:remove');
  return await change(request, name, (groups, groupId) => groups.filter((one) => one !== groupId));
}

async function change(
  request: ComputeRequest<never>,
  name: string,
  changed: (groups: readonly string[], groupId: string) => readonly string[],
): Promise<Answer> {
  const server = await serverFor(request, 'show');
  await request.context.db.transaction().execute(async (tx) => {
    const [groupId = ''] = await findGroups(tx, server.project_id, [name]);
    const ports = await portsWithGroups(tx, server.id);
    if (ports.length === 0)
      throw new GodwitError('BadRequest', `Server ${server.id} has no port with port security: it can have no security group.`);
    const after = ports.map(({ id, groups }) => ({ id, before: groups, groups: [...new Set(changed(groups, groupId))] }));
    const differing = after.filter(({ before, groups }) => before.length !== groups.length);
    if (differing.length === 0 && !after.some(({ groups }) => groups.includes(groupId)))
      throw new GodwitError('NotFound', `Security group ${name} not associated with the instance ${server.id}`);
    for (const { id, groups } of differing) await setPortGroups(tx, id, groups);
  });
  return { status: 202 };
}

async function portsWithGroups(tx: Tx, serverId: string): Promise<readonly { readonly id: string; readonly groups: readonly string[] }[]> {
  const ports = await tx
    .selectFrom('port')
    .select('id')
    .where('server_id', '=', serverId)
    .where('port_security_enabled', '=', true)
    .orderBy('id')
    .forUpdate()
    .execute();
  const groups =
    ports.length === 0
      ? []
      : await tx
          .selectFrom('port_security_group')
          .selectAll()
          .where(
            'port_id',
            'in',
            ports.map(({ id }) => id),
          )
          .execute();
  return ports.map(({ id }) => ({ id, groups: groups.filter((row) => row.port_id === id).map((row) => row.security_group_id) }));
}
