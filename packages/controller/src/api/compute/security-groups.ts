import { always } from '@godwit/contract/schemas/closed';
import {
  CreateSecurityGroupRule,
  SecurityGroupAnswer,
  SecurityGroupRuleAnswer,
  SecurityGroupsAnswer,
  WriteSecurityGroup,
} from '@godwit/contract/schemas/compute/security-groups';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import { createGroup, deleteGroup, type GroupRow, groupsWithRules, renameGroup } from '../../networks/security-group-rows.ts';
import { createRule, deleteRule, type RuleRow } from '../../networks/security-group-rules.ts';
import { defaultGroup } from '../../networks/security-groups.ts';
import type { Db } from '../../store/database.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid, serverFor } from './server-rows.ts';

/** The network service has them since. */
const max = 35;

export const securityGroupRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/os-security-groups', {
    response: always(SecurityGroupsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-security-groups:list');
      const server = await serverFor(request, 'show');
      const groups = await request.context.db
        .selectFrom('security_group')
        .selectAll()
        .where(
          sql<boolean>`id in (select ps.security_group_id from port p join port_security_group ps on ps.port_id = p.id where p.server_id = ${server.id})`,
        )
        .orderBy('name')
        .orderBy('id')
        .execute();
      return { status: 200, body: { security_groups: await views(request.context.db, groups) } };
    },
  }),
  route('GET', '/os-security-groups', {
    max,
    response: always(SecurityGroupsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-security-groups:get');
      await defaultGroup(request.context.db, request.caller.projectId);
      const groups = await own(request).orderBy('name').orderBy('id').execute();
      return { status: 200, body: { security_groups: await views(request.context.db, groups) } };
    },
  }),
  route('POST', '/os-security-groups', {
    max,
    body: always(WriteSecurityGroup),
    response: always(SecurityGroupAnswer),
    handle: async (request: ComputeRequest<WriteSecurityGroup>) => {
      assertAllowed(request.caller, 'os-security-groups:create');
      const { name, description } = request.body.security_group;
      const group = await createGroup(request.context.db, request.caller.projectId, name, description ?? '');
      return { status: 200, body: { security_group: await view(request.context.db, group) } };
    },
  }),
  route('GET', '/os-security-groups/:security_group', {
    max,
    response: always(SecurityGroupAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-security-groups:show');
      return { status: 200, body: { security_group: await view(request.context.db, await groupOf(request)) } };
    },
  }),
  route('PUT', '/os-security-groups/:security_group', {
    max,
    body: always(WriteSecurityGroup),
    response: always(SecurityGroupAnswer),
    handle: async (request: ComputeRequest<WriteSecurityGroup>) => {
      assertAllowed(request.caller, 'os-security-groups:update');
      const { name, description } = request.body.security_group;
      const group = await renameGroup(request.context.db, await groupOf(request), { name, description: description ?? '' });
      return { status: 200, body: { security_group: await view(request.context.db, group) } };
    },
  }),
  route('DELETE', '/os-security-groups/:security_group', {
    max,
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-security-groups:delete');
      await deleteGroup(request.context.db, await groupOf(request));
      return { status: 202 };
    },
  }),
  route('POST', '/os-security-group-rules', {
    max,
    body: always(CreateSecurityGroupRule),
    response: always(SecurityGroupRuleAnswer),
    handle: async (request: ComputeRequest<CreateSecurityGroupRule>) => {
      assertAllowed(request.caller, 'os-security-groups:rule:create');
      const { db } = request.context;
      const asked = request.body.security_group_rule;
      const group = await groupNamed(request, asked.parent_group_id);
      if (asked.group_id != null) await groupNamed(request, asked.group_id);
      // -1: any type, any code, any port.
      const port = (value: string | number | null | undefined): number | null =>
        value == null || Number(value) < 0 ? null : Number(value);
      const prefix = asked.group_id == null ? (asked.cidr ?? '0.0.0.0/0') : null;
      const row = await db.transaction().execute((tx) =>
        createRule(tx, {
          groupId: group.id,
          direction: 'ingress',
          ipVersion: prefix?.includes(':') ? 6 : 4,
          protocol: asked.ip_protocol == null || asked.ip_protocol === '-1' ? null : asked.ip_protocol.toLowerCase(),
          portMin: port(asked.from_port),
          portMax: port(asked.to_port),
          remotePrefix: prefix,
          remoteGroupId: asked.group_id ?? null,
          description: '',
        }),
      );
      const [rule] = await ruleViews(db, [row]);
      return { status: 200, body: { security_group_rule: rule ?? {} } };
    },
  }),
  route('DELETE', '/os-security-group-rules/:rule', {
    max,
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-security-groups:rule:delete');
      const id = param(request, 'rule');
      const row = isUuid(id)
        ? await request.context.db
            .selectFrom('security_group_rule')
            .select(['id', 'security_group_id'])
            .where('id', '=', id)
            .where('security_group_id', 'in', mayName(request).clearSelect().select('id'))
            .executeTakeFirst()
        : undefined;
      if (row === undefined) throw new GodwitError('NotFound', `Security group rule ${id.slice(0, 120)} not found.`);
      await deleteRule(request.context.db, row);
      return { status: 202 };
    },
  }),
];

/** Groups of the caller's project: the proxy lists no others, also to an admin, who may name them all the same. */
const own = ({ context, caller }: ComputeRequest) =>
  context.db.selectFrom('security_group').selectAll().where('project_id', '=', caller.projectId);
const mayName = ({ context, caller }: ComputeRequest) =>
  context.db
    .selectFrom('security_group')
    .selectAll()
    .$if(!caller.isAdmin, (groups) => groups.where('project_id', '=', caller.projectId));

const groupOf = (request: ComputeRequest): Promise<GroupRow> => groupNamed(request, param(request, 'security_group'));

async function groupNamed(request: ComputeRequest, id: string): Promise<GroupRow> {
  const row = isUuid(id) ? await mayName(request).where('id', '=', id).executeTakeFirst() : undefined;
  if (row === undefined) throw new GodwitError('NotFound', `Security group ${id.slice(0, 120)} not found.`);
  return row;
}

async function view(db: Db, group: GroupRow): Promise<object> {
  return (await views(db, [group]))[0] ?? {};
}

/** The proxy knows rules for what comes in only. */
async function views(db: Db, rows: readonly GroupRow[]): Promise<readonly object[]> {
  const groups = await groupsWithRules(db, rows);
  return await Promise.all(
    groups.map(async ({ group, rules }) => ({
      id: group.id,
      name: group.name,
      description: group.description,
      tenant_id: group.project_id,
      rules: await ruleViews(
        db,
        rules.filter((rule) => rule.direction === 'ingress'),
      ),
    })),
  );
}

async function ruleViews(db: Db, rules: readonly RuleRow[]): Promise<readonly object[]> {
  const remote = rules.flatMap((rule) => rule.remote_group_id ?? []);
  const named =
    remote.length === 0
      ? []
      : await db.selectFrom('security_group').select(['id', 'name', 'project_id']).where('id', 'in', remote).execute();
  return rules.map((rule) => {
    const group = named.find(({ id }) => id === rule.remote_group_id);
    const anywhere = rule.ip_version === 4 ? '0.0.0.0/0' : '::/0';
    return {
      id: rule.id,
      parent_group_id: rule.security_group_id,
      ip_protocol: rule.protocol,
      from_port: rule.port_min,
      to_port: rule.port_max,
      ip_range: group === undefined ? { cidr: rule.remote_prefix ?? anywhere } : {},
      group: group === undefined ? {} : { name: group.name, tenant_id: group.project_id },
    };
  });
}
