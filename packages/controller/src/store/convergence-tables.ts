import type { PartialPolicy } from '@godwit/domain/convergence/resolve-policy';
import type { ColumnType } from 'kysely';

/** The tables of migrations 0090 … 0099 (policies of moves). Columns that 0090 adds to core tables are in core-tables.ts. */
export interface ConvergenceTables {
  migration_policy: {
    /** `default`, or a project's id. */
    scope: string;
    policy: ColumnType<PartialPolicy, string, string>;
    updated_by: string;
    updated_at: ColumnType<Date, Date | undefined, Date>;
  };
}
