import type { StoredVerdicts } from '@godwit/domain/scheduling/stored-verdicts';

export type HostRejection = {
  readonly host: string;
  readonly reasons: readonly { readonly sentence: string; readonly smallestChange: string | null }[];
};

/** The stored reasons by host, hosts by name. Of a bare metal host only that is told: nothing else about it matters. That another host was asked for is told where nothing else is. */
export function rejectionsByHost(rejected: StoredVerdicts['rejected']): readonly HostRejection[] {
  const entries = rejected.flatMap(({ code, examples }) =>
    examples.flatMap(({ hosts, sentence, smallestChange }) => hosts.map((host) => ({ host, code, sentence, smallestChange }))),
  );
  return [...Map.groupBy(entries, (entry) => entry.host)]
    .map(([host, all]) => {
      const metal = all.filter(({ code }) => code === 'BareMetalTarget');
      const telling = all.filter(({ code }) => code !== 'NotRequestedHost');
      const shown = metal.length > 0 ? metal : telling.length > 0 ? telling : all;
      return { host, reasons: shown.map(({ sentence, smallestChange }) => ({ sentence, smallestChange })) };
    })
    .toSorted((a, b) => a.host.localeCompare(b.host, 'en', { numeric: true }));
}
