import type { IncomingHttpHeaders } from 'node:http';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { HttpFailure } from '../http-error.ts';
import { type MicroversionService, microversionHeaders, negotiate } from '../microversion.ts';
import type { ServicePlugin } from '../plugins.ts';
import { type ServiceAnswer, serveRoutes } from '../serve-routes.ts';
import { allocationRoutes } from './allocations.ts';
import { candidateRoutes } from './candidates.ts';
import type { PlacementContext } from './placement-context.ts';
import { providerRoutes } from './providers.ts';

export const placementMicroversions: MicroversionService = { name: 'placement', major: 1, minMinor: 0, maxMinor: 39, legacyHeader: null };

/**
 * The placement API at `/placement`, for reading: every host is a provider, and usages and allocations are the ledger itself. Claims are made by the scheduler
 * alone; what would write is answered 405.
 */
export const placementPlugin: ServicePlugin = async (app, context) => registerPlacement(app, context);

export function registerPlacement(
  app: FastifyInstance,
  context: PlacementContext,
  options: { readonly checkResponses?: boolean } = {},
): void {
  serveRoutes(app, context, {
    prefix: '/placement',
    routes: [...providerRoutes, ...allocationRoutes, ...candidateRoutes],
    open: discovery,
    negotiate: version,
    errorBody,
    ...options,
  });
}

function discovery(path: string): ServiceAnswer | null {
  const { minMinor, maxMinor } = placementMicroversions;
  if (path !== '') return null;
  return {
    status: 200,
    body: {
      versions: [
        { id: 'v1.0', min_version: `1.${minMinor}`, max_version: `1.${maxMinor}`, status: 'CURRENT', links: [{ rel: 'self', href: '' }] },
      ],
    },
  };
}

function version(headers: IncomingHttpHeaders, reply: (headers: Readonly<Record<string, string>>) => void): number {
  const negotiated = negotiate(placementMicroversions, headers);
  if (negotiated.ok) {
    reply(microversionHeaders(placementMicroversions, `1.${negotiated.minor}`));
    return negotiated.minor;
  }
  throw new GodwitError(negotiated.status === 406 ? 'UnsupportedMicroversion' : 'BadRequest', negotiated.message);
}

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  415: 'Unsupported Media Type',
  503: 'Service Unavailable',
};

/** Clients read `errors[0].detail` of every error, and the range out of a 406. */
function errorBody({ status, message }: HttpFailure, requestId: string): object {
  const range = { max_version: `1.${placementMicroversions.maxMinor}`, min_version: `1.${placementMicroversions.minMinor}` };
  return {
    errors: [
      {
        status,
        title: titles[status] ?? 'Internal Server Error',
        detail: message,
        request_id: requestId,
        ...(status === 406 ? range : {}),
      },
    ],
  };
}
