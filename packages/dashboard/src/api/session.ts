/** Who is signed in, to which project, and where the services are. Kept for this tab only: the token is never written to disk by us. */
export type Session = {
  readonly token: string;
  readonly expiresAt: string;
  readonly user: { readonly id: string; readonly name: string };
  readonly project: { readonly id: string; readonly name: string };
  readonly roles: readonly string[];
};

const storageKey = 'godwit.session';

/** The session of this tab, or null when there is none or it has expired. */
export function storedSession(): Session | null {
  const text = sessionStorage.getItem(storageKey);
  if (text === null) return null;
  const session = JSON.parse(text) as Session;
  return Date.parse(session.expiresAt) > Date.now() ? session : null;
}

export function storeSession(session: Session | null): void {
  if (session === null) sessionStorage.removeItem(storageKey);
  else sessionStorage.setItem(storageKey, JSON.stringify(session));
}

export const isAdmin = (session: Session): boolean => session.roles.includes('admin');

/** A sign-in that was refused; the message is the identity service's own sentence. */
export class SignInRefused extends Error {}

type TokenAnswer = {
  readonly token: {
    readonly expires_at: string;
    readonly user: { readonly id: string; readonly name: string };
    readonly project?: { readonly id: string; readonly name: string };
    readonly roles?: readonly { readonly name: string }[];
  };
};

export type Project = { readonly id: string; readonly name: string };

/** Proves the password and lists the projects that the user may choose from. Throws SignInRefused. */
export async function proveUser(
  userName: string,
  password: string,
): Promise<{ readonly token: string; readonly projects: readonly Project[] }> {
  const domain = { name: 'Default' };
  const answer = await postToken({
    identity: { methods: ['password'], password: { user: { name: userName, domain, password } } },
    scope: 'unscoped',
  });
  const response = await fetch('/identity/v3/auth/projects', { headers: { 'x-auth-token': answer.token } });
  if (!response.ok) throw new SignInRefused(`The list of projects was refused (${response.status}).`);
  const { projects } = (await response.json()) as { readonly projects: readonly Project[] };
  return { token: answer.token, projects };
}

/** Exchanges an unscoped token for one scoped to the project. Throws SignInRefused. */
export async function enterProject(token: string, projectId: string): Promise<Session> {
  const answer = await postToken({ identity: { methods: ['token'], token: { id: token } }, scope: { project: { id: projectId } } });
  const { project, roles = [], user, expires_at: expiresAt } = answer.body.token;
  if (project === undefined) throw new SignInRefused('The identity service gave a token without a project.');
  return { token: answer.token, expiresAt, user, project, roles: roles.map((role) => role.name) };
}

async function postToken(auth: object): Promise<{ readonly token: string; readonly body: TokenAnswer }> {
  const response = await fetch('/identity/v3/auth/tokens', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ auth }),
  });
  const body = (await response.json()) as TokenAnswer & { readonly error?: { readonly message?: string } };
  const token = response.headers.get('x-subject-token');
  if (!response.ok || token === null) throw new SignInRefused(body.error?.message ?? `Sign-in was refused (${response.status}).`);
  return { token, body };
}
