import type { QuotaName } from '@godwit/domain/quotas';
import { formatMib } from './formats.ts';

/** As the compute API shows a project's: -1 is no limit. */
export type QuotaSet = Readonly<Record<string, { readonly limit: number; readonly in_use: number } | string>>;
export type QuotaChange = Readonly<Partial<Record<QuotaName, number>>>;

export type QuotaRow = {
  readonly name: QuotaName;
  readonly title: string;
  /** Null: no limit. */
  readonly limit: number | null;
  /** Null where there is no sum for the project: it holds for each of something. */
  readonly used: number | null;
  readonly format: (amount: number) => string;
};

const plain = String;
/** In the order of the page; `each`: it holds for each of them, not for the project's sum. */
const shown: readonly { readonly name: QuotaName; readonly title: string; readonly each?: true; readonly format?: QuotaRow['format'] }[] = [
  { name: 'instances', title: 'Instances' },
  { name: 'cores', title: 'vCPUs' },
  { name: 'ram', title: 'Memory', format: formatMib },
  { name: 'server_groups', title: 'Server groups' },
  { name: 'server_group_members', title: 'Members of each server group', each: true },
  { name: 'key_pairs', title: 'Key pairs of each user', each: true },
  { name: 'metadata_items', title: 'Metadata items of each instance', each: true },
];

/** The quotas that a project meets, in order; those of other services are left to them. */
export const quotaRows = (set: QuotaSet): readonly QuotaRow[] =>
  shown.flatMap(({ name, title, each, format = plain }) => {
    const entry = set[name];
    if (typeof entry !== 'object') return [];
    return [{ name, title, limit: entry.limit < 0 ? null : entry.limit, used: each === true ? null : entry.in_use, format }];
  });

/** What a form with every limit has changed: what is empty there is no limit. */
export function quotaChange(rows: readonly QuotaRow[], wanted: Readonly<Partial<Record<QuotaName, number | null>>>): QuotaChange {
  const changed = rows.flatMap(({ name, limit }): readonly (readonly [QuotaName, number])[] => {
    const next = wanted[name] ?? null;
    return next === limit ? [] : [[name, next ?? -1]];
  });
  return Object.fromEntries(changed);
}
