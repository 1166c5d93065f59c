import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { portProtocols, protocolNumbers } from '@godwit/domain/network-policy';
import type { Selectable } from 'kysely';
import type { Db, Tx } from '../store/database.ts';
import type { NetworkTables } from '../store/network-tables.ts';
import { parseAddress, parseCidr } from './ip-range.ts';
import { noteChange } from './note-change.ts';
import { protocolNumber } from './protocol-number.ts';

export type RuleRow = Selectable<NetworkTables['security_group_rule']>;

export type RuleRequest = {
  readonly groupId: string;
  readonly direction: 'ingress' | 'egress';
  readonly ipVersion: 4 | 6;
  readonly protocol: string | null;
  readonly portMin: number | null;
  readonly portMax: number | null;
  readonly remotePrefix: string | null;
  readonly remoteGroupId: string | null;
  readonly description: string;
};

/** Makes a rule in the caller's transaction. Throws BadRequest for what does not fit together, NotFound for a group that is gone, Conflict for a rule that is there already. */
export async function createRule(tx: Tx, request: RuleRequest): Promise<RuleRow> {
  const remotePrefix = checked(request);
  const { groupId, remoteGroupId } = request;
  // Both stay until this commits.
  for (const id of new Set([groupId, ...(remoteGroupId === null ? [] : [remoteGroupId])])) {
    const group = await tx.selectFrom('security_group').select('id').where('id', '=', id).forKeyShare().executeTakeFirst();
    if (group === undefined) throw new GodwitError('NotFound', `Security group ${id} does not exist`);
  }
  const row = await tx
    .insertInto('security_group_rule')
    .values({
      id: randomUUID(),
      security_group_id: groupId,
      description: request.description,
      direction: request.direction,
      ip_version: request.ipVersion,
      protocol: request.protocol,
      port_min: request.portMin,
      port_max: request.portMax,
      remote_prefix: remotePrefix,
      remote_group_id: remoteGroupId,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('Conflict', 'Security group rule already exists.');
  await noteChange(tx, [{ kind: 'group', id: groupId }]);
  return row;
}

export const deleteRule = (db: Db, { id, security_group_id }: Pick<RuleRow, 'id' | 'security_group_id'>): Promise<void> =>
  db.transaction().execute(async (tx) => {
    await tx.deleteFrom('security_group_rule').where('id', '=', id).execute();
    await noteChange(tx, [{ kind: 'group', id: security_group_id }]);
  });

/** Throws BadRequest; answers the remote prefix as the database has it (an address is a prefix of its own length). */
function checked({ ipVersion, protocol, portMin, portMax, remotePrefix, remoteGroupId }: RuleRequest): string | null {
  const refuse = (why: string): never => {
    throw new GodwitError('BadRequest', why);
  };
  if (remotePrefix !== null && remoteGroupId !== null)
    refuse('Only remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.');
  const number = protocol === null ? null : protocolNumber(protocol, ipVersion);
  if (protocol !== null && number === null)
    refuse(
      `Security group rule protocol ${protocol.slice(0, 40)} not supported. Only protocol names and integer representations [0 to 255] are supported.`,
    );
  if (number === protocolNumbers.icmpV6 && ipVersion === 4)
    refuse(`Invalid ethertype IPv4 for protocol ${protocol ?? ''}, only IPv6 is supported.`);
  if (portMin !== null || portMax !== null) {
    if (number === null) refuse('Must also specify protocol if port range is given.');
    else if (number === protocolNumbers.icmp || number === protocolNumbers.icmpV6) {
      for (const [field, value] of [
        ['port_range_min', portMin],
        ['port_range_max', portMax],
      ] as const)
        if (value !== null && value > 255)
          refuse(`Invalid value for ICMP ${field === 'port_range_min' ? 'type' : 'code'} (${field}) ${value}. It must be 0 to 255.`);
      if (portMin === null) refuse(`ICMP code (port-range-max) ${portMax ?? ''} is provided but ICMP type (port-range-min) is missing.`);
    } else if (!portProtocols.includes(number)) refuse(`Port range cannot be specified for protocol ${protocol ?? ''}.`);
    else if (portMin === null || portMax === null || portMin > portMax || portMin < 1)
      refuse('Invalid port range: for TCP/UDP protocols, port_range_min must be 1 or more and <= port_range_max');
  }
  if (remotePrefix === null) return null;
  const address = parseAddress(remotePrefix);
  const prefix = address === null ? parseCidr(remotePrefix) : null;
  const version = address?.version ?? prefix?.version;
  if (version === undefined) refuse(`'${remotePrefix.slice(0, 64)}' is not a valid CIDR.`);
  if (version !== ipVersion) refuse(`Conflicting value ethertype IPv${ipVersion} for CIDR ${remotePrefix}`);
  return address === null ? remotePrefix : `${remotePrefix}/${version === 4 ? 32 : 128}`;
}
