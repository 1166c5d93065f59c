import { SecurityGroupRuleBody, SecurityGroupRuleCreate, SecurityGroupRuleList } from '@godwit/contract/schemas/network/security-groups';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { createRule, deleteRule, type RuleRow } from '../../networks/security-group-rules.ts';
import { defaultGroup } from '../../networks/security-groups.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';
import { fieldsOf, listAnswer } from './list-answer.ts';
import { assertOwner } from './network-access.ts';
import { ruleView } from './security-group-rule-view.ts';
import { findGroup } from './security-groups.ts';

export const securityGroupRuleRoutes: readonly ServiceRoute[] = [
  {
    method: 'GET',
    path: '/v2.0/security-group-rules',
    response: SecurityGroupRuleList,
    handle: async (request: ServiceRequest) => {
      const { context, caller } = request;
      await defaultGroup(context.db, caller.projectId);
      const rows = await visible(context.db, caller).orderBy('security_group_rule.created_at').orderBy('security_group_rule.id').execute();
      return listAnswer(
        'security_group_rules',
        rows.map((row) => ruleView(row, row.project_id)),
        request,
      );
    },
  },
  {
    method: 'POST',
    path: '/v2.0/security-group-rules',
    body: SecurityGroupRuleCreate,
    response: SecurityGroupRuleBody,
    handle: async ({ context, caller, body: { security_group_rule: asked } }: ServiceRequest<SecurityGroupRuleCreate>) => {
      const group = await findGroup(context.db, caller, asked.security_group_id);
      assertOwner(caller, group, 'create_security_group_rule');
      if (asked.remote_group_id != null) await findGroup(context.db, caller, asked.remote_group_id);
      const any = asked.protocol == null || ['any', ''].includes(String(asked.protocol).toLowerCase());
      const row = await context.db.transaction().execute((tx) =>
        createRule(tx, {
          groupId: group.id,
          direction: asked.direction,
          ipVersion: asked.ethertype?.toLowerCase() === 'ipv6' ? 6 : 4,
          protocol: any ? null : String(asked.protocol).toLowerCase(),
          portMin: asked.port_range_min ?? null,
          portMax: asked.port_range_max ?? null,
          remotePrefix: asked.remote_ip_prefix ?? null,
          remoteGroupId: asked.remote_group_id?.toLowerCase() ?? null,
          description: asked.description ?? '',
        }),
      );
      return { status: 201, body: { security_group_rule: ruleView(row, group.project_id) } };
    },
  },
  {
    method: 'GET',
    path: '/v2.0/security-group-rules/:rule',
    response: SecurityGroupRuleBody,
    handle: async ({ context, caller, params, query }: ServiceRequest) => {
      const row = await findRule(context.db, caller, params['rule'] ?? '');
      return { status: 200, body: { security_group_rule: fieldsOf(ruleView(row, row.project_id), query) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v2.0/security-group-rules/:rule',
    response: null,
    handle: async ({ context, caller, params }: ServiceRequest) => {
      const row = await findRule(context.db, caller, params['rule'] ?? '');
      assertOwner(caller, row, 'delete_security_group_rule');
      await deleteRule(context.db, row);
      return { status: 204 };
    },
  },
];

/** Throws NotFound also for a rule of a group that the caller may not see. */
async function findRule(db: Db, caller: Caller, id: string): Promise<RuleRow & { readonly project_id: string }> {
  const row = await visible(db, caller).where(sql<boolean>`security_group_rule.id::text = ${id.toLowerCase()}`).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Security group rule ${id.slice(0, 255)} does not exist`);
  return row;
}

const visible = (db: Db, caller: Caller) =>
  db
    .selectFrom('security_group_rule')
    .innerJoin('security_group', 'security_group.id', 'security_group_rule.security_group_id')
    .selectAll('security_group_rule')
    .select('security_group.project_id')
    .$if(!caller.isAdmin, (rules) => rules.where('security_group.project_id', '=', caller.projectId));
