import type { ConvergencePolicy } from '@godwit/domain/convergence/policy';
import type { ResolvedPolicy } from '@godwit/domain/convergence/resolve-policy';
import type { Prediction } from '@godwit/domain/prediction/predict';
import { queryOptions } from '@tanstack/react-query';
import type { Api } from './request.ts';

export type { ConvergencePolicy, Prediction, ResolvedPolicy };
export type PredictionAnswer = { readonly policy: ResolvedPolicy; readonly prediction: Prediction };

/** How a live migration would go now. Looks at the guest for a second or so. `destination` null: wherever it goes. */
export const predictionOf = (api: Api, serverId: string, destination: string | null) =>
  queryOptions({
    queryKey: ['prediction', serverId, destination],
    queryFn: async () =>
      api.get<PredictionAnswer>(
        `/godwit/v1/servers/${serverId}/prediction${destination === null ? '' : `?${new URLSearchParams({ destination })}`}`,
      ),
    staleTime: 15_000,
    retry: false,
    placeholderData: (before: PredictionAnswer | undefined) => before,
  });
