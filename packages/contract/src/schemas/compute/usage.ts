import { Type } from 'typebox';
import { Closed, Links, Nullable, perMinor } from '../closed.ts';

/** OpenStack compute API v2.1, "Usage reports" and "Server usage audit log". Times here are ISO 8601 without a zone, UTC. */
const IsoTime = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{6})?$' });
const ServerUsage = Closed({
  instance_id: Type.String(),
  name: Type.String(),
  hours: Type.Number({ minimum: 0 }),
  tenant_id: Type.String(),
  memory_mb: Type.Integer(),
  local_gb: Type.Integer(),
  vcpus: Type.Integer(),
  flavor: Type.String(),
  started_at: IsoTime,
  ended_at: Nullable(IsoTime),
  state: Type.String(),
  uptime: Type.Integer({ minimum: 0 }),
});
const Usage = Closed({
  tenant_id: Type.String(),
  total_local_gb_usage: Type.Number(),
  total_memory_mb_usage: Type.Number(),
  total_vcpus_usage: Type.Number(),
  total_hours: Type.Number(),
  start: IsoTime,
  stop: IsoTime,
  server_usages: Type.Optional(Type.Array(ServerUsage)),
});
export const TenantUsagesAnswer = perMinor((minor) =>
  Closed({ tenant_usages: Type.Array(Usage), ...(minor >= 40 ? { tenant_usages_links: Type.Optional(Links) } : {}) }),
);
export const TenantUsageAnswer = perMinor((minor) =>
  Closed({ tenant_usage: Type.Union([Usage, Closed({})]), ...(minor >= 40 ? { tenant_usage_links: Type.Optional(Links) } : {}) }),
);

const AuditTime = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2} \\d{2}:\\d{2}:\\d{2}$' });
const Audit = Closed({
  hosts_not_run: Type.Array(Type.String()),
  log: Closed({}),
  num_hosts: Type.Integer(),
  num_hosts_done: Type.Integer(),
  num_hosts_not_run: Type.Integer(),
  num_hosts_running: Type.Integer(),
  overall_status: Type.String(),
  period_beginning: AuditTime,
  period_ending: AuditTime,
  total_errors: Type.Integer(),
  total_instances: Type.Integer(),
});
export const UsageAuditsAnswer = Closed({ instance_usage_audit_logs: Audit });
export const UsageAuditAnswer = Closed({ instance_usage_audit_log: Audit });
