import type { ColumnType, Generated } from 'kysely';

type Now = ColumnType<Date, Date | undefined, Date>;

/** The tables of migrations 0040 … 0059 (images, networks, scheduling). Columns that 0040 adds to core tables are in core-tables.ts. */
export interface ResourceTables {
  /** Written by triggers: a host changed for the scheduler in this transaction. */
  host_change: { host_id: string; xid: Generated<string>; at: Now };
  image_member: {
    image_id: string;
    project_id: string;
    status: Generated<'pending' | 'accepted' | 'rejected'>;
    created_at: Now;
    updated_at: Now;
  };
}
