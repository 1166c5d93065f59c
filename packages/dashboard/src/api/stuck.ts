import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

/** Something that does not go on by itself: what was seen of it, and what cannot make it worse. */
export type StuckThing = {
  readonly kind: 'late-migration' | 'failing-workflow' | 'guest-differs' | 'silent-host' | 'forgotten-resize' | 'leaked-claim';
  readonly subject: { readonly type: 'migration' | 'server' | 'host'; readonly id: string; readonly name: string };
  readonly sentence: string;
  readonly evidence: readonly string[];
  readonly since: string | null;
  readonly action: { readonly sentence: string; readonly request: SafeRequest | null };
};
export type SafeRequest = {
  readonly service: 'godwit' | 'compute';
  readonly method: 'POST' | 'DELETE';
  readonly path: string;
  readonly body: object | null;
};

/** Every host is asked for its guests: a look takes as long as the slowest of them. */
export const stuckThings = (api: Api) =>
  queryOptions({
    queryKey: ['stuck'],
    queryFn: async () => api.get<{ readonly checkedAt: string; readonly problems: readonly StuckThing[] }>('/godwit/v1/stuck'),
    staleTime: 0,
  });

const bases = { godwit: '/godwit/v1', compute: '/compute/v2.1' } as const;
export const actSafely = async (api: Api, { service, method, path, body }: SafeRequest): Promise<unknown> =>
  api.send(method, `${bases[service]}${path}`, body ?? undefined);
