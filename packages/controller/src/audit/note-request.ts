import { redact } from '@godwit/domain/redact';
import type { FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Token } from '../auth/tokens.ts';
import type { Db } from '../store/database.ts';

/** Larger bodies are left out: what they were about stands in the path. */
const BODY_BYTES = 16_384;
const ids = /\/servers\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/;
const reading: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Adds a request that may have changed something, also a refused one, to the audit log, with its body less its secrets. What only reads, and what nobody signed in for, is not noted. Never throws: an
 * entry that could not be written is an error in the log, which then has the request itself.
 */
export async function noteRequest(db: Db, log: Logger, request: FastifyRequest, status: number, token: Token | null): Promise<void> {
  if (reading.has(request.method) || token === null) return;
  const path = request.url.split('?')[0] ?? '';
  try {
    const body = bodyOf(request.body);
    await db
      .insertInto('audit_entry')
      .values({
        kind: 'request',
        action: `${request.method} ${path}`,
        request_id: request.id,
        user_id: token.user.id,
        user_name: token.user.name,
        project_id: token.project?.id ?? null,
        address: request.ip,
        status,
        server_id: ids.exec(path)?.[1] ?? null,
        details: body === null ? null : JSON.stringify({ body: redact(body) }),
      })
      .execute();
  } catch (error) {
    log.error({ err: error, user: token.user.id, method: request.method, path, status }, 'a request is missing in the audit log');
  }
}

/** What JSON a body was, read or not; null for none, for other types and for what is too large. */
function bodyOf(body: unknown): unknown {
  if (!Buffer.isBuffer(body)) {
    const plain = typeof body === 'object' && body !== null && !('pipe' in body);
    return plain && JSON.stringify(body).length <= BODY_BYTES ? body : null;
  }
  if (body.length === 0 || body.length > BODY_BYTES) return null;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
