import type { HostStep, ItemState, MoveMethod, OperationKind, OperationState } from '@godwit/domain/drain-plan/fleet-operation';
import type { ColumnType, Generated } from 'kysely';
import type { NullableJson } from './core-tables.ts';

type Now = ColumnType<Date, Date | undefined, Date>;

/** The tables of migrations 0080 … 0089: fleet operations. */
export interface FleetTables {
  fleet_operation: FleetOperationTable;
  fleet_host: FleetHostTable;
  fleet_item: FleetItemTable;
}

export interface FleetOperationTable {
  id: string;
  kind: OperationKind;
  state: OperationState;
  fence: Generated<number>;
  reason: string | null;
  destination: string | null;
  block_migration: Generated<'auto' | 'true' | 'false'>;
  parallel: number;
  at_most: Generated<number>;
  move_others: Generated<boolean>;
  until: Generated<'operator' | 'reboot'>;
  bring_home: Generated<boolean>;
  confirmed_dead: Generated<boolean>;
  expected_ms: number | null;
  user_id: string;
  project_id: string;
  request_id: string;
  created_at: Now;
  updated_at: Now;
  finished_at: Date | null;
}

/** What was looked at when a host was found empty, or not. `guests` null: its agent did not answer. */
export type EmptyProof = {
  readonly at: string;
  readonly servers: number;
  readonly claims: number;
  readonly guests: number | null;
  readonly sentence: string;
};

export interface FleetHostTable {
  operation_id: string;
  host_id: string;
  position: number;
  step: HostStep;
  boot_id: string | null;
  was_enabled: boolean;
  done_at: Date | null;
  proof: NullableJson<EmptyProof>;
}

export type ItemCause = { readonly code: string; readonly sentence: string; readonly remedy: string | null };

export interface FleetItemTable {
  operation_id: string;
  position: number;
  server_id: string;
  direction: Generated<'away' | 'home'>;
  method: MoveMethod;
  source_host_id: string | null;
  planned_host_id: string | null;
  destination_host_id: string | null;
  pinned: Generated<boolean>;
  makes_room: Generated<boolean>;
  state: ItemState;
  attempt: Generated<number>;
  migration_id: string | null;
  note: string | null;
  cause: NullableJson<ItemCause>;
  started_at: Date | null;
  finished_at: Date | null;
}
