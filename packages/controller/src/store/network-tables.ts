import type { ColumnType, Generated } from 'kysely';

type Now = ColumnType<Date, Date | undefined, Date>;

/** The tables of migrations 0120 … 0139 (security groups). Columns that they add to core tables are in core-tables.ts. */
export interface NetworkTables {
  security_group: {
    id: string;
    project_id: string;
    name: string;
    description: Generated<string>;
    created_at: Now;
    updated_at: Now;
  };
  security_group_rule: {
    id: string;
    security_group_id: string;
    description: Generated<string>;
    direction: 'ingress' | 'egress';
    ip_version: 4 | 6;
    protocol: string | null;
    port_min: number | null;
    port_max: number | null;
    remote_prefix: string | null;
    remote_group_id: string | null;
    created_at: Now;
  };
  /** Not sent to the hosts yet. */
  network_policy_change: { kind: 'port' | 'group'; subject_id: string };
  port_security_group: { port_id: string; security_group_id: string };
}
