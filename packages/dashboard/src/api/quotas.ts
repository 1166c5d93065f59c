import { queryOptions } from '@tanstack/react-query';
import type { QuotaChange, QuotaSet } from '../model/quota-rows.ts';
import type { Api } from './request.ts';

const below = (projectId: string): string => `/compute/v2.1/os-quota-sets/${encodeURIComponent(projectId)}`;

/** What a project may have at most, and what it has. */
export const quotaDetail = (api: Api, projectId: string) =>
  queryOptions({
    queryKey: ['quota', 'detail', projectId],
    queryFn: async () => (await api.get<{ readonly quota_set: QuotaSet }>(`${below(projectId)}/detail`)).quota_set,
  });

/** Sets what is named. Refused below what is in use. For admins. */
export async function changeQuotas(api: Api, projectId: string, change: QuotaChange): Promise<void> {
  await api.send('PUT', below(projectId), { quota_set: change });
}

export type ServerUsage = {
  readonly instance_id: string;
  readonly name: string;
  readonly hours: number;
  readonly memory_mb: number;
  readonly local_gb: number;
  readonly vcpus: number;
  readonly flavor: string;
  readonly state: string;
};
/** A project that had nothing in the period has an empty report. */
export type ProjectUsage = {
  readonly total_hours?: number;
  readonly total_vcpus_usage?: number;
  readonly total_memory_mb_usage?: number;
  readonly total_local_gb_usage?: number;
  readonly server_usages?: readonly ServerUsage[];
};

/** Reports of more than this version come in pages; a page of a project wants its sum. */
const wholeReport = '2.39';

/** What a project used in the last so many days. */
export const projectUsage = (api: Api, projectId: string, days: number) =>
  queryOptions({
    queryKey: ['usage', projectId, days],
    queryFn: async () => {
      const end = Date.now();
      const time = (ms: number): string => new Date(ms).toISOString().slice(0, 19);
      const query = new URLSearchParams({ start: time(end - days * 86_400_000), end: time(end), detailed: '1' });
      const path = `/compute/v2.1/os-simple-tenant-usage/${encodeURIComponent(projectId)}?${query}`;
      return (await api.get<{ readonly tenant_usage: ProjectUsage }>(path, { microversion: wholeReport })).tenant_usage;
    },
  });
