import { GodwitError } from '@godwit/domain/errors';
import { knownQuery, type QuerySchema } from '../query.ts';
import type { ApiContext } from '../request-context.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';

export type PlacementContext = ApiContext & {
  readonly config: { readonly cpuAllocationRatio: number; readonly ramAllocationRatio: number; readonly diskAllocationRatio: number };
};
export type PlacementRequest = ServiceRequest<unknown, PlacementContext>;
export type PlacementRoute = ServiceRoute<PlacementContext>;

/** A route for admins, which is not there below a microversion; without a schema of its query no key means anything. */
export function reading(
  path: string,
  minMinor: number,
  response: PlacementRoute['response'] & {},
  handle: (request: PlacementRequest) => Promise<object>,
  query?: (minor: number) => QuerySchema,
): PlacementRoute {
  return {
    method: 'GET',
    path,
    response,
    handle: async (request: PlacementRequest) => {
      if (!request.caller.isAdmin) throw new GodwitError('Forbidden', 'placement:* requires the role admin.');
      if (request.minor < minMinor) throw new GodwitError('NotFound', 'The resource could not be found.');
      return {
        status: 200,
        body: await handle(query === undefined ? request : { ...request, query: knownQuery(query(request.minor), request.query) }),
      };
    },
  };
}
