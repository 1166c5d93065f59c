import { useMemo } from 'react';
import { type Api, apiFor } from '../api/request.ts';
import { type Session, storedSession } from '../api/session.ts';

/** The session of a page behind the sign-in. Throws when there is none: routes.tsx lets no such page open. */
export function useSession(): Session {
  return useMemo(() => {
    const session = storedSession();
    if (session === null) throw new Error('this page needs a session');
    return session;
  }, []);
}

export function useApi(): Api {
  const session = useSession();
  return useMemo(() => apiFor(session), [session]);
}
