/** Which route a method and path name. Paths are written `/servers/:server/action`; a literal segment wins over a parameter. */
export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type RouteMatch<R> =
  | { readonly kind: 'found'; readonly route: R; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'no-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'no-path' };

export type RouteTable<R> = { readonly routes: readonly R[]; find(method: string, path: string): RouteMatch<R> };

type Node<R> = {
  readonly literals: Map<string, Node<R>>;
  parameter: Node<R> | null;
  readonly methods: Map<string, { readonly route: R; readonly names: readonly string[] }>;
};

/** Builds the table; throws when two routes have the same method and path. Trailing and doubled slashes of a request's path do not matter. */
export function routeTable<R extends { readonly method: Method; readonly path: string }>(routes: readonly R[]): RouteTable<R> {
  const root = node<R>();
  for (const route of routes) {
    let at = root;
    const names: string[] = [];
    for (const segment of segmentsOf(route.path)) {
      if (segment.startsWith(':')) {
        names.push(segment.slice(1));
        at.parameter ??= node<R>();
        at = at.parameter;
      } else {
        const next = at.literals.get(segment) ?? node<R>();
        at.literals.set(segment, next);
        at = next;
      }
    }
    if (at.methods.has(route.method)) throw new Error(`two routes for ${route.method} ${route.path}`);
    at.methods.set(route.method, { route, names });
  }
  return { routes, find: (method, path) => find(root, method, segmentsOf(path)) };
}

function find<R>(root: Node<R>, method: string, segments: readonly string[]): RouteMatch<R> {
  const allowed = new Set<string>();
  const walk = (at: Node<R>, index: number, values: readonly string[]): RouteMatch<R> | null => {
    const segment = segments[index];
    if (segment === undefined) {
      const hit = at.methods.get(method);
      if (hit !== undefined)
        return { kind: 'found', route: hit.route, params: Object.fromEntries(hit.names.map((name, i) => [name, values[i] ?? ''])) };
      for (const known of at.methods.keys()) allowed.add(known);
      return null;
    }
    const literal = at.literals.get(segment);
    const viaLiteral = literal === undefined ? null : walk(literal, index + 1, values);
    if (viaLiteral !== null) return viaLiteral;
    const value = decoded(segment);
    return at.parameter === null || value === null ? null : walk(at.parameter, index + 1, [...values, value]);
  };
  return walk(root, 0, []) ?? (allowed.size > 0 ? { kind: 'no-method', allowed: [...allowed].sort() } : { kind: 'no-path' });
}

/** null: not valid percent-encoding, or holds a NUL, which no name has and the database cannot hold. */
function decoded(segment: string): string | null {
  try {
    const text = decodeURIComponent(segment);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}

const segmentsOf = (path: string): readonly string[] => path.split('/').filter((segment) => segment !== '');
const node = <R>(): Node<R> => ({ literals: new Map(), parameter: null, methods: new Map() });
