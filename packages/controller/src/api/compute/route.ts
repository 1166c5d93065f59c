import type { Caller } from '../../workflows/operations.ts';
import type { Query, QuerySchema } from '../query.ts';
import type { ApiContext } from '../request-context.ts';
import type { Method } from '../route-table.ts';

/** One request as a handler of the compute API sees it: authenticated, negotiated, its body checked. */
export type ComputeRequest<Body = unknown> = {
  readonly context: ApiContext;
  readonly caller: Caller;
  /** Minor of the negotiated microversion, 1…93. */
  readonly minor: number;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly body: Body;
  /** `<scheme>://<host>/compute/v2.1`, for links. */
  readonly base: string;
  /** Path without query, after the version: `/servers/detail`. */
  readonly path: string;
};

export type Answer = {
  readonly status: number;
  readonly body?: object;
  /** Instead of `body`: its JSON. */
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** One way a route behaves, for a range of microversions. Ranges of one route do not overlap; outside all of them the route is absent (404). */
export type Variant<Body = never> = {
  /** First minor it holds for; default 1. */
  readonly min?: number;
  /** Last minor it holds for; default none. */
  readonly max?: number;
  /** JSON schema of the query at this microversion; what it does not know but lets pass does not reach the handler. Without one no key means anything to the handler, or it looks itself. */
  readonly query?: (minor: number) => QuerySchema;
  /** JSON schema of the body at this microversion; without one the body is not read. The same object for the same minor: it is compiled once. */
  readonly body?: (minor: number) => object;
  /** Closed schema of the answer's body when it succeeds, for tests. null: the answer has no body. */
  readonly response?: (minor: number, isAdmin: boolean) => object | null;
  readonly handle: (request: ComputeRequest<Body>) => Promise<Answer>;
};

export type ComputeRoute = { readonly method: Method; readonly path: string; readonly variants: readonly Variant[] };

/**
 * A route. The body's type is what the handler says it takes: `body` is what makes that true.
 *
 *     route('GET', '/os-hypervisors', { response: hypervisorList, handle: async (request) => … })
 */
export function route(method: Method, path: string, ...variants: readonly Variant[]): ComputeRoute {
  return { method, path, variants };
}

/** The variant that holds at a minor, or null: the route is absent there. */
export function variantAt(route: Pick<ComputeRoute, 'variants'>, minor: number): Variant | null {
  return route.variants.find((variant) => minor >= (variant.min ?? 1) && minor <= (variant.max ?? Infinity)) ?? null;
}

/** Body, path parameters and identifiers that the types cannot know: a parameter the path is declared with is there. */
export function param(request: ComputeRequest<never> | ComputeRequest, name: string): string {
  const value = request.params[name];
  if (value === undefined) throw new Error(`the route has no parameter ${name}`);
  return value;
}
