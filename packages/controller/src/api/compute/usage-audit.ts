import { always } from '@godwit/contract/schemas/closed';
import { UsageAuditAnswer, UsageAuditsAnswer } from '@godwit/contract/schemas/compute/usage';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

/** `2026-01-31 12:00:00` */
const auditTime = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ');

/** The whole month before `moment`. No host of this cloud audits usage by the month, so none has run: the numbers say that, and `os-simple-tenant-usage` has the usage. */
async function auditBefore(request: ComputeRequest<never>, moment: Date): Promise<object> {
  const ending = new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth(), 1));
  const beginning = new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() - 1, 1));
  const hosts = await request.context.db.selectFrom('host').select('name').where('deleted_at', 'is', null).orderBy('name').execute();
  return {
    hosts_not_run: hosts.map(({ name }) => name),
    log: {},
    num_hosts: hosts.length,
    num_hosts_done: 0,
    num_hosts_not_run: hosts.length,
    num_hosts_running: 0,
    overall_status: `0 of ${hosts.length} hosts done. 0 errors.`,
    period_beginning: auditTime(beginning),
    period_ending: auditTime(ending),
    total_errors: 0,
    total_instances: 0,
  };
}

async function show(request: ComputeRequest<never>): Promise<Answer> {
  assertAllowed(request.caller, 'os-instance-usage-audit-log:show');
  const text = param(request, 'before');
  const match = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})(\.\d{1,6})?$/.exec(text);
  const date = new Date(match === null ? Number.NaN : `${text.slice(0, 19).replace(' ', 'T')}Z`);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 2)
    throw new GodwitError('BadRequest', `Invalid timestamp for date ${text.slice(0, 60)}`);
  return { status: 200, body: { instance_usage_audit_log: await auditBefore(request, date) } };
}

export const usageAuditRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-instance_usage_audit_log', {
    response: always(UsageAuditsAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-instance-usage-audit-log:list');
      return { status: 200, body: { instance_usage_audit_logs: await auditBefore(request, new Date()) } };
    },
  }),
  route('GET', '/os-instance_usage_audit_log/:before', { response: always(UsageAuditAnswer), handle: show }),
];
