import { sql } from 'kysely';
import type { ServicePlugin } from '../plugins.ts';
import { servicePrefixes } from '../service-prefixes.ts';
import { dashboardDirectory, serveDashboard } from './dashboard-files.ts';

const page = (publicUrl: string) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Godwit</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#1c2430;background:#fff}
code{background:#eef1f5;padding:.1em .3em;border-radius:3px}td{padding:.2rem 1rem .2rem 0;vertical-align:top}
@media (prefers-color-scheme:dark){body{color:#dfe5ee;background:#12161d}code{background:#232a35}}</style></head>
<body><h1>Godwit</h1><p>The control plane is running. The dashboard has not been built on this machine (<code>make setup</code> builds it); the APIs are here:</p>
<table>
<tr><td>Identity v3</td><td><code>${publicUrl}/identity/v3</code></td></tr>
<tr><td>Compute v2.1</td><td><code>${publicUrl}/compute/v2.1</code></td></tr>
<tr><td>Image v2</td><td><code>${publicUrl}/image</code></td></tr>
<tr><td>Network v2.0</td><td><code>${publicUrl}/network</code></td></tr>
<tr><td>Placement</td><td><code>${publicUrl}/placement</code></td></tr>
<tr><td>Godwit v1</td><td><code>${publicUrl}/godwit/v1</code>: <code>migrations</code>, <code>events</code> (server-sent)</td></tr>
<tr><td>Health, metrics</td><td><code>${publicUrl}/healthz</code>, <code>${publicUrl}/metrics</code></td></tr>
</table></body></html>
`;

/** The dashboard at `/`, `/healthz` and `/metrics`: no authentication. */
export const rootPlugin: ServicePlugin = async (app, context) => {
  const html = page(context.config.publicUrl);
  serveDashboard(app, { directory: dashboardDirectory, apiPrefixes: Object.values(servicePrefixes), placeholder: html });
  app.get('/healthz', async (_request, reply) => {
    try {
      await sql`select 1`.execute(context.db);
      return { status: 'ok' };
    } catch (error) {
      context.log.error({ err: error }, 'the database does not answer');
      return reply.code(503).send({ status: 'unavailable', reason: 'the database does not answer' });
    }
  });
  app.get('/metrics', async (_request, reply) =>
    reply.type(context.metrics.registry.contentType).send(await context.metrics.registry.metrics()),
  );
};
