import type { ConvergencePolicy } from '@godwit/domain/convergence/policy';
import type { StreamRecord } from '@godwit/domain/memory-stream';
import type {
  EarlierAttempt,
  MigrationMeasures,
  MigrationOutcome,
  MigrationPhase,
  MigrationStatus,
  MigrationType,
  TimelineEntry,
} from '@godwit/domain/migration';
import { terminalMigrationStatuses } from '@godwit/domain/migration';
import type { Prediction } from '@godwit/domain/prediction/predict';
import type { StoredVerdicts } from '@godwit/domain/scheduling/stored-verdicts';
import { queryOptions } from '@tanstack/react-query';
import type { Sample } from '../model/samples.ts';
import type { Api } from './request.ts';

export type HostRef = { readonly id: string; readonly name: string | null };
export type Counters = {
  readonly totalBytes: number | null;
  readonly processedBytes: number | null;
  readonly remainingBytes: number | null;
};

/** One move as Godwit's own API lists it. */
export type Migration = {
  readonly id: string;
  readonly apiId: number;
  readonly serverId: string;
  readonly serverName: string;
  readonly type: MigrationType;
  readonly status: MigrationStatus;
  readonly phase: MigrationPhase;
  readonly queuePosition: number | null;
  readonly source: HostRef | null;
  readonly destination: HostRef | null;
  readonly memory: Counters;
  readonly disk: Counters;
  readonly measures: MigrationMeasures;
  readonly phaseDurationsMs: Readonly<Record<string, number>>;
  readonly outcome: MigrationOutcome | null;
  readonly abortRequestedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string | null;
  readonly finishedAt: string | null;
};

export type WayOut =
  | { readonly kind: 'wait'; readonly host: string; readonly sentence: string }
  | { readonly kind: 'fence'; readonly host: string; readonly sentence: string; readonly warning: string };

/** The whole record. */
export type MigrationRecord = Migration & {
  readonly userId: string;
  readonly projectId: string;
  readonly requestId: string;
  readonly requestedHost: string | null;
  readonly blockMigration: 'auto' | 'true' | 'false';
  readonly policy: ConvergencePolicy | null;
  readonly maxBandwidthBytes: number | null;
  /** How its memory is sent, and why not as asked; null until it is prepared. */
  readonly memoryStream: StreamRecord | null;
  /** Destinations that were tried before the present one. */
  readonly attempts: readonly EarlierAttempt[];
  /** How it was predicted to go when it was asked for; null: nobody looked. */
  readonly prediction: Prediction | null;
  /** What can be done about a host that does not answer; empty when none is waited for. */
  readonly waysOut: readonly WayOut[];
  readonly timeline: readonly TimelineEntry[];
  readonly verdicts: StoredVerdicts | null;
};

export type MigrationFilters = { readonly server?: string; readonly host?: string; readonly status?: string };

/** The newest 1,000 moves, newest first. For admins. */
export const migrationList = (api: Api, filters: MigrationFilters) =>
  queryOptions({
    queryKey: ['migration', 'list', filters],
    queryFn: async () =>
      (await api.get<{ readonly migrations: readonly Migration[] }>(`/godwit/v1/migrations?${new URLSearchParams({ ...filters })}`))
        .migrations,
  });

export const migrationShow = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['migration', 'show', id],
    queryFn: async () => (await api.get<{ readonly migration: MigrationRecord }>(`/godwit/v1/migrations/${id}`)).migration,
  });

/** What its progress reports said since the move began, oldest first. */
export const migrationSamples = (api: Api, id: string) =>
  queryOptions({
    queryKey: ['samples', id],
    queryFn: async (): Promise<readonly Sample[]> => {
      type Told = Omit<Sample, 'at'> & { readonly at: string };
      const { samples } = await api.get<{ readonly samples: readonly Told[] }>(`/godwit/v1/migrations/${id}/samples`);
      return samples.map((sample) => ({ ...sample, at: Date.parse(sample.at) }));
    },
    staleTime: 0,
  });

/** The server's newest migration, which is the one just accepted. */
export async function newestMigrationOf(api: Api, serverId: string): Promise<Migration | null> {
  const { migrations } = await api.get<{ readonly migrations: readonly Migration[] }>(`/godwit/v1/migrations?server=${serverId}&limit=1`);
  return migrations[0] ?? null;
}

export async function abortMigration(api: Api, id: string): Promise<void> {
  await api.send('POST', `/godwit/v1/migrations/${id}/abort`);
}

/** The guest stands still until the rest is sent. */
export async function forceComplete(api: Api, id: string): Promise<void> {
  await api.send('POST', `/godwit/v1/migrations/${id}/force-complete`);
}

/** Bytes per second; null: as much as the links allow. */
export async function capMigration(api: Api, id: string, maxBandwidthBytes: number | null): Promise<void> {
  await api.send('PATCH', `/godwit/v1/migrations/${id}`, { maxBandwidthBytes });
}

/** What it may cost from now on; the fields that are not given stay. */
export async function changePolicy(api: Api, id: string, policy: Partial<ConvergencePolicy>): Promise<void> {
  await api.send('PATCH', `/godwit/v1/migrations/${id}`, { policy });
}

/** The operator's word that nothing on the host runs or reaches any disk. */
export async function fenceHost(api: Api, host: string): Promise<void> {
  await api.send('POST', `/godwit/v1/hosts/${encodeURIComponent(host)}/fence`, { confirmed: true });
}

const terminal: ReadonlySet<string> = new Set(terminalMigrationStatuses);
export const isOver = (status: string): boolean => terminal.has(status);

/** How long a finished cold move waits before it is confirmed by itself, in milliseconds; 0: for ever. */
export const confirmWindow = (api: Api) =>
  queryOptions({
    queryKey: ['settings'],
    queryFn: async () =>
      (await api.get<{ readonly settings: { readonly resizeConfirmWindowSeconds: number } }>('/godwit/v1/')).settings
        .resizeConfirmWindowSeconds * 1000,
    staleTime: 600_000,
  });
