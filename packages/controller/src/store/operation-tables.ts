import type { Generated } from 'kysely';
import type { NullableJson } from './core-tables.ts';

/** The tables of migrations 0140 … 0159: what an operator follows and is told. */
export interface OperationTables {
  audit_entry: AuditEntryTable;
  webhook_notice: WebhookNoticeTable;
}

export interface AuditEntryTable {
  id: Generated<number>;
  at: Generated<Date>;
  kind: 'request' | 'migration';
  action: string;
  request_id: string | null;
  user_id: string | null;
  user_name: string | null;
  project_id: string | null;
  address: string | null;
  status: number | null;
  server_id: string | null;
  server_name: string | null;
  migration_id: string | null;
  source: string | null;
  destination: string | null;
  cause: string | null;
  details: NullableJson<object>;
}

export interface WebhookNoticeTable {
  id: Generated<string>;
  kind: 'migration.failed' | 'migration.stuck' | 'resize.forgotten';
  migration_id: string;
  at: Generated<Date>;
  attempts: Generated<number>;
  next_at: Generated<Date>;
  last_error: string | null;
  delivered_at: Date | null;
  given_up_at: Date | null;
}
