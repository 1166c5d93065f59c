import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** What `vite build` writes; beside each asset lies its gzipped twin (`.gz`). */
export const dashboardDirectory = path.resolve(import.meta.dirname, '../../../../dashboard/dist');

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};
/** Assets carry a hash of their content in their names. */
const FOR_EVER = 'public, max-age=31536000, immutable';
const assetName = /^[\w-][\w.-]*$/;

/** The page may load its own code and speak to its own origin; styles are made by the component library at run time. */
const contentSecurityPolicy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Serves the dashboard: `/`, `/assets/*`, and its page for every other URL that a browser opens and no API owns, so that each page's URL can be
 * opened and reloaded. While the dashboard has not been built, `/` is `placeholder`. Files are read when asked for: a new build needs no restart.
 */
export function serveDashboard(
  app: FastifyInstance,
  options: { readonly directory: string; readonly apiPrefixes: readonly string[]; readonly placeholder: string },
): void {
  const { directory, apiPrefixes, placeholder } = options;
  const page = async (reply: FastifyReply): Promise<FastifyReply> => {
    const html = await readFile(path.join(directory, 'index.html')).catch(missing);
    return reply
      .type('text/html; charset=utf-8')
      .header('cache-control', 'no-cache')
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('content-security-policy', html === null ? "default-src 'none'; style-src 'unsafe-inline'" : contentSecurityPolicy)
      .send(html ?? placeholder);
  };
  app.get('/', async (_request, reply) => page(reply));
  app.get('/assets/:name', async (request, reply) => {
    const { name } = request.params as { readonly name: string };
    const type = types[path.extname(name)];
    const file = path.join(directory, 'assets', name);
    const size = assetName.test(name) && type !== undefined ? await sizeOf(file) : null;
    if (size === null) return notFound(request, reply);
    void reply
      .type(type ?? '')
      .header('cache-control', FOR_EVER)
      .header('x-content-type-options', 'nosniff')
      .header('vary', 'accept-encoding');
    const zipped = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '') ? await sizeOf(`${file}.gz`) : null;
    if (zipped === null) return reply.header('content-length', size).send(createReadStream(file));
    return reply
      .header('content-encoding', 'gzip')
      .header('content-length', zipped)
      .send(createReadStream(`${file}.gz`));
  });
  app.setNotFoundHandler(async (request, reply) => {
    const [url = ''] = request.url.split('?');
    const opensPage = (request.method === 'GET' || request.method === 'HEAD') && (request.headers.accept ?? '').includes('text/html');
    const isApi = apiPrefixes.some((prefix) => url === prefix || url.startsWith(`${prefix}/`));
    const isFile = url.startsWith('/assets/');
    return opensPage && !isApi && !isFile ? page(reply) : notFound(request, reply);
  });
}

const notFound = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
  reply
    .code(404)
    .send({ error: { code: 'NotFound', message: `There is no ${request.method} ${request.url.split('?')[0]}.`, requestId: request.id } });

async function sizeOf(file: string): Promise<number | null> {
  const found = await stat(file).catch(missing);
  return found?.isFile() === true ? found.size : null;
}

/** A file that is not there is an answer; anything else is not. */
function missing(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
  throw error;
}
