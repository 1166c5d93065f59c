import { type Session, storedSession, storeSession } from './session.ts';

/**
 * A session is kept per tab, in its sessionStorage, so that two tabs can be two people and nothing is left when the browser is closed. A tab that is opened anew asks those
 * that stand: a channel that only pages of this origin hear.
 */
type Message =
  | { readonly kind: 'asked' }
  | { readonly kind: 'given'; readonly session: Session }
  | { readonly kind: 'ended'; readonly token: string };

const name = 'godwit.session';
/** Long enough for a tab in the background; nobody who has no other tab open waits longer than this, once. */
const waitMs = 250;

/** Takes the session of another tab of this browser when this one has none. Resolves when there is one, or nobody has answered. */
export async function adoptSession(): Promise<void> {
  if (storedSession() !== null) return;
  const channel = new BroadcastChannel(name);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.kind !== 'given') return;
      storeSession(data.session);
      clearTimeout(timer);
      resolve();
    };
    channel.postMessage({ kind: 'asked' } satisfies Message);
  });
  channel.close();
}

/** From now on gives this tab's session to tabs that ask, and ends with it when it is signed out elsewhere. */
export function shareSession(): void {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    const session = storedSession();
    if (session === null) return;
    if (data.kind === 'asked') channel.postMessage({ kind: 'given', session } satisfies Message);
    if (data.kind === 'ended' && data.token === session.token) leave();
  };
}

/** Ends the session here and in every tab that shares it, and has the cloud refuse its token from now on. */
export async function endSession(session: Session): Promise<void> {
  const channel = new BroadcastChannel(name);
  channel.postMessage({ kind: 'ended', token: session.token } satisfies Message);
  channel.close();
  // The person leaves whether or not the service can be reached: then the token ends by its time.
  await fetch('/identity/v3/auth/tokens', {
    method: 'DELETE',
    headers: { 'x-auth-token': session.token, 'x-subject-token': session.token },
  }).catch(() => {});
  leave();
}

function leave(): void {
  storeSession(null);
  window.location.assign('/sign-in');
}
