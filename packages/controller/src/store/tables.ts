import type { ApiTables } from './api-tables.ts';
import type { ConvergenceTables } from './convergence-tables.ts';
import type { CoreTables } from './core-tables.ts';
import type { FleetTables } from './fleet-tables.ts';
import type { LifecycleTables } from './lifecycle-tables.ts';
import type { NetworkTables } from './network-tables.ts';
import type { OperationTables } from './operation-tables.ts';
import type { ResourceTables } from './resource-tables.ts';

/** Every table, by range of migration number: a table added by a migration is declared in its range's file. */
export interface Tables
  extends CoreTables,
    ApiTables,
    ConvergenceTables,
    ResourceTables,
    FleetTables,
    LifecycleTables,
    NetworkTables,
    OperationTables {}
