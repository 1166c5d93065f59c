import { TenantUsageQuery, TenantUsagesQuery } from '@godwit/contract/schemas/compute/queries';
import { TenantUsageAnswer, TenantUsagesAnswer } from '@godwit/contract/schemas/compute/usage';
import { GodwitError } from '@godwit/domain/errors';
import { ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { policyMessage } from '@godwit/domain/server-states';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import type { FlavorSnapshot } from '../../store/core-tables.ts';
import { one, page, time } from '../query.ts';
import { microTime } from '../time-format.ts';
import { nextLinks } from './paging.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid } from './server-rows.ts';

type Row = {
  readonly id: string;
  readonly name: string;
  readonly project_id: string;
  readonly vm_state: string;
  readonly flavor: FlavorSnapshot;
  readonly launched_at: Date;
  readonly terminated_at: Date | null;
};
type Period = { readonly start: Date; readonly stop: Date };

const msPerHour = 3_600_000;

function periodOf(request: ComputeRequest<never>): Period & { readonly detailed: boolean } {
  const { query } = request;
  const stop = time(query, 'end') ?? new Date();
  // Without a start the reference means now: an empty period.
  const start = time(query, 'start') ?? stop;
  if (start > stop) throw new GodwitError('BadRequest', 'Invalid start time. The start time cannot occur after the end time.');
  return { start, stop, detailed: one(query, 'detailed') === '1' };
}

/** Servers that existed in the period, in the order in which they are paged through; `limit` null: all. */
async function serversIn(
  request: ComputeRequest<never>,
  { start, stop }: Period,
  projectId: string | null,
): Promise<{ readonly rows: readonly Row[]; readonly limit: number | null }> {
  const { db } = request.context;
  const paged = request.minor >= 40 ? page(request.query) : null;
  const marker = paged?.marker ?? null;
  let after: { readonly launched_at: Date; readonly id: string } | undefined;
  if (marker !== null) {
    const found = isUuid(marker)
      ? await db.selectFrom('server').select(['launched_at', 'id']).where('id', '=', marker).executeTakeFirst()
      : undefined;
    if (found?.launched_at == null) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
    after = { launched_at: found.launched_at, id: found.id };
  }
  let rows = db
    .selectFrom('server')
    .select(['id', 'name', 'project_id', 'vm_state', 'flavor', 'terminated_at'])
    .select(sql<Date>`launched_at`.as('launched_at'))
    .where('launched_at', 'is not', null)
    .where('launched_at', '<', stop)
    .where(({ or, eb }) => or([eb('terminated_at', 'is', null), eb('terminated_at', '>', start)]))
    .orderBy('launched_at')
    .orderBy('id');
  if (projectId !== null) rows = rows.where('project_id', '=', projectId);
  if (after !== undefined) rows = rows.where(sql<boolean>`(launched_at, id) > (select launched_at, id from server where id = ${after.id})`);
  if (paged !== null) rows = rows.limit(paged.limit);
  return { rows: await rows.execute(), limit: paged?.limit ?? null };
}

/** Isoformat of the reference: no fraction where it is zero. */
const isoTime = (date: Date): string => (date.getUTCMilliseconds() === 0 ? date.toISOString().slice(0, 19) : microTime(date));

function usageOfServer(row: Row, { start, stop }: Period) {
  const from = Math.max(row.launched_at.getTime(), start.getTime());
  const to = Math.min(row.terminated_at?.getTime() ?? stop.getTime(), stop.getTime());
  const until = row.terminated_at ?? new Date();
  return {
    instance_id: row.id,
    name: row.name,
    hours: Math.max(0, to - from) / msPerHour,
    tenant_id: row.project_id,
    memory_mb: ramOf(row.flavor),
    local_gb: row.flavor.disk_gib + row.flavor.ephemeral_gib,
    vcpus: vcpusOf(row.flavor),
    flavor: row.flavor.name,
    started_at: isoTime(row.launched_at),
    ended_at: row.terminated_at === null ? null : isoTime(row.terminated_at),
    state: row.terminated_at === null ? row.vm_state : 'terminated',
    uptime: Math.max(0, Math.floor((until.getTime() - row.launched_at.getTime()) / 1000)),
  };
}

function usageOfProject(projectId: string, rows: readonly Row[], period: Period, detailed: boolean) {
  const servers = rows.map((row) => usageOfServer(row, period));
  const sum = (of: (server: (typeof servers)[number]) => number): number => servers.reduce((total, server) => total + of(server), 0);
  return {
    tenant_id: projectId,
    total_local_gb_usage: sum((one) => one.local_gb * one.hours),
    total_memory_mb_usage: sum((one) => one.memory_mb * one.hours),
    total_vcpus_usage: sum((one) => one.vcpus * one.hours),
    total_hours: sum((one) => one.hours),
    start: isoTime(period.start),
    stop: isoTime(period.stop),
    ...(detailed ? { server_usages: servers } : {}),
  };
}

async function list(request: ComputeRequest<never>): Promise<Answer> {
  assertAllowed(request.caller, 'os-simple-tenant-usage:list');
  const { detailed, ...period } = periodOf(request);
  const { rows, limit } = await serversIn(request, period, null);
  const projects = [...new Set(rows.map((row) => row.project_id))];
  const tenant_usages = projects.map((id) =>
    usageOfProject(
      id,
      rows.filter((row) => row.project_id === id),
      period,
      detailed,
    ),
  );
  const links = limit === null ? {} : nextLinks(request, 'tenant_usages', rows, limit, rows.at(-1)?.id);
  return { status: 200, body: { tenant_usages, ...links } };
}

async function show(request: ComputeRequest<never>): Promise<Answer> {
  const id = param(request, 'project');
  assertAllowed(request.caller, 'os-simple-tenant-usage:show');
  if (id !== request.caller.projectId && !request.caller.isAdmin)
    throw new GodwitError('Forbidden', policyMessage('os_compute_api:os-simple-tenant-usage:show'));
  const period = periodOf(request);
  const { rows, limit } = await serversIn(request, period, id);
  const links = limit === null ? {} : nextLinks(request, 'tenant_usage', rows, limit, rows.at(-1)?.id);
  return { status: 200, body: { tenant_usage: rows.length === 0 ? {} : usageOfProject(id, rows, period, true), ...links } };
}

export const tenantUsageRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-simple-tenant-usage', { query: TenantUsagesQuery, response: TenantUsagesAnswer, handle: list }),
  route('GET', '/os-simple-tenant-usage/:project', { query: TenantUsageQuery, response: TenantUsageAnswer, handle: show }),
];
