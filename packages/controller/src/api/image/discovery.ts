import type { ServiceAnswer } from '../serve-routes.ts';

/** Newest first, as clients expect; all are served alike. Nothing of 2.10 and later (import, stores) is. */
const versions = ['v2.9', 'v2.7', 'v2.6', 'v2.5', 'v2.4', 'v2.3', 'v2.2', 'v2.1', 'v2.0'] as const;

/** The list of versions, without a token: 300 at the root, where one has to be chosen, 200 at `/versions`. */
export function discovery(path: string, base: string): ServiceAnswer | null {
  const status = path === '' || path === '/v2' ? 300 : path === '/versions' ? 200 : null;
  if (status === null) return null;
  const links = [{ rel: 'self', href: `${base}/v2/` }];
  return { status, body: { versions: versions.map((id, index) => ({ id, status: index === 0 ? 'CURRENT' : 'SUPPORTED', links })) } };
}
