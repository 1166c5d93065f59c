import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../json.ts';
import type { Token } from './cloud.ts';
import type { Credentials } from './credentials.ts';

/** A token that ends within this is not worth keeping or using. */
const LEAST_MS = 120_000;

/** Tokens of earlier commands: signing in costs more than most commands (the cloud hashes the password). */
export interface TokenCache {
  readonly read: (credentials: Credentials) => Promise<Token | null>;
  readonly write: (credentials: Credentials, token: Token) => Promise<void>;
  readonly forget: (credentials: Credentials) => Promise<void>;
}

/**
 * Files that only their owner reads, below XDG_RUNTIME_DIR or ~/.cache. Null where there is neither, and with GODWIT_TOKEN_CACHE=off. A token is found again only by the very credentials that it was
 * made with, the secret included. What cannot be read or written costs a sign-in and nothing else.
 */
export function tokenCache(env: Readonly<Record<string, string | undefined>>): TokenCache | null {
  const base = env['XDG_RUNTIME_DIR'] || (env['HOME'] ? join(env['HOME'], '.cache') : '');
  if (base === '' || env['GODWIT_TOKEN_CACHE'] === 'off') return null;
  const directory = join(base, 'godwit');
  const fileOf = (credentials: Credentials): string => {
    const { authUrl, method, project } = credentials;
    return join(
      directory,
      `${createHash('sha256')
        .update(JSON.stringify([authUrl, method, project]))
        .digest('hex')}.json`,
    );
  };
  return {
    read: async (credentials) => {
      // A token that is given is used as it is.
      if (credentials.method.kind === 'token') return null;
      try {
        const kept = JSON.parse(await readFile(fileOf(credentials), 'utf8')) as Token & JsonObject;
        return typeof kept.id === 'string' && Array.isArray(kept.catalog) && Date.parse(kept.expires) - Date.now() > LEAST_MS ? kept : null;
      } catch {
        return null;
      }
    },
    write: async (credentials, token) => {
      if (credentials.method.kind === 'token' || !(Date.parse(token.expires) - Date.now() > LEAST_MS)) return;
      const file = fileOf(credentials);
      try {
        await mkdir(directory, { recursive: true, mode: 0o700 });
        // Another command may read it meanwhile.
        await writeFile(`${file}.${process.pid}`, JSON.stringify(token), { mode: 0o600 });
        await rename(`${file}.${process.pid}`, file);
      } catch {
        await rm(`${file}.${process.pid}`, { force: true }).catch(() => {});
      }
    },
    forget: async (credentials) => rm(fileOf(credentials), { force: true }).catch(() => {}),
  };
}
