import { setTimeout as delay } from 'node:timers/promises';
import type { OpenStackClient } from '@godwit/lab/cloud/openstack-client';
import { waitFor } from '@godwit/lab/wait-for';

/** GET /godwit/v1/migrations/{id}, as far as the benchmarks read it. */
export type MigrationRecord = {
  readonly status: string;
  readonly outcome: { readonly sentence: string } | null;
  readonly createdAt: string;
  readonly finishedAt: string | null;
  readonly memory: { readonly processedBytes: number | null };
  readonly measures: Readonly<Record<string, number | null>>;
  readonly timeline: readonly { readonly at: number; readonly what: string; readonly clock: string; readonly detail?: string }[];
};

/** Each look is work for the controller, on the processors that the copy needs; the record has its own times, so that nothing is lost by looking seldom. */
const lookEveryMs = 700;

/** The record of a move once that has ended. */
export async function endedRecord(cloud: OpenStackClient, id: string): Promise<MigrationRecord> {
  const look = async () => (await cloud.request<{ readonly migration: MigrationRecord }>('godwit', 'GET', `/migrations/${id}`)).migration;
  let record: MigrationRecord | null = null;
  await delay(lookEveryMs);
  await waitFor(
    `the migration ${id} did not end`,
    async () => {
      record = await look();
      return record.finishedAt !== null;
    },
    120_000,
    lookEveryMs,
  );
  if (record === null) throw new Error(`the migration ${id} has no record`);
  return record;
}

/** When something happened by the record, Unix ms; the lab's hosts share one clock, so times of agents and of the controller can be subtracted. */
export const timeOf = (record: MigrationRecord, clock: 'source' | 'destination', what: string): number | null =>
  record.timeline.findLast((entry) => entry.clock === clock && entry.what === what)?.at ?? null;
