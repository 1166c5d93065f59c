import { useEffect, useState } from 'react';
import { closeCodes } from '../api/consoles.ts';
import { ApiRefusal } from '../api/request.ts';
import { pauseBeforeMs } from '../model/reconnect.ts';

export type Attachment =
  | { readonly kind: 'attaching' }
  | { readonly kind: 'attached' }
  | { readonly kind: 'again' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'refused'; readonly error: unknown };

/** One connection, until it ends; resolves with the websocket's close code, or null where there is none to tell. `attached` is called when it stands. */
export type Connect = (attached: () => void, signal: AbortSignal) => Promise<number | null>;

/**
 * Keeps something attached for as long as the component is there: connects again whenever the connection ends, at once after it had stood, with growing pauses otherwise. Gives up
 * when the server is gone, or the API refuses the console. `connect` must be the same function at every render.
 */
export function useAttached(connect: Connect): Attachment {
  const [state, setState] = useState<Attachment>({ kind: 'attaching' });
  useEffect(() => {
    const left = new AbortController();
    const keep = async (): Promise<void> => {
      let attempt = 0;
      let refusals = 0;
      while (!left.signal.aborted) {
        try {
          const code = await connect(() => {
            attempt = 0;
            setState({ kind: 'attached' });
          }, left.signal);
          if (left.signal.aborted) return;
          if (code === closeCodes.gone) return setState({ kind: 'gone' });
          if (code === closeCodes.refused) refusals += 1;
          // A new URL is asked for once; one that is given stays what it is.
          if (refusals > 1)
            return setState({ kind: 'refused', error: new Error('The console’s URL is no longer good. Ask for a new one.') });
        } catch (error) {
          if (left.signal.aborted) return;
          // An answer that says no stays no; a service that is away comes back.
          if (error instanceof ApiRefusal && error.status < 500) return setState({ kind: 'refused', error });
        }
        setState({ kind: 'again' });
        await new Promise((resolve) => setTimeout(resolve, pauseBeforeMs(attempt)));
        attempt += 1;
      }
    };
    void keep();
    return () => left.abort();
  }, [connect]);
  return state;
}
