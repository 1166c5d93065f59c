import { mkdirSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { clearAbandonedUploads, removeUnusedImageFiles } from '../../images/clear-image-store.ts';
import type { ServicePlugin } from '../plugins.ts';
import { serveRoutes } from '../serve-routes.ts';
import { discovery } from './discovery.ts';
import { fileRoutes } from './files.ts';
import type { ImageContext } from './image-context.ts';
import { imageRoutes } from './images.ts';
import { memberRoutes } from './members.ts';
import { schemaRoutes } from './schemas.ts';

/** The image API (v2) at `/image`. */
export const imagePlugin: ServicePlugin = async (app, context) => registerImage(app, context);

/** How often what uploads and deletions left behind is cleared. */
const sweepEveryMs = 15 * 60 * 1000;

export function registerImage(app: FastifyInstance, context: ImageContext, options: { readonly checkResponses?: boolean } = {}): void {
  const { imageDir } = context.config;
  mkdirSync(imageDir, { recursive: true });
  const sweep = () =>
    Promise.all([clearAbandonedUploads(context.db, imageDir), removeUnusedImageFiles(context.db, imageDir)]).catch((error: unknown) =>
      context.log.warn({ err: error }, 'the image store was not swept'),
    );
  const timer = setInterval(() => void sweep(), sweepEveryMs);
  timer.unref();
  app.addHook('onReady', async () => void sweep());
  app.addHook('onClose', async () => clearInterval(timer));
  serveRoutes(app, context, {
    prefix: '/image',
    routes: [...imageRoutes, ...fileRoutes, ...memberRoutes, ...schemaRoutes],
    open: discovery,
    errorBody: ({ status, message }) => ({ code: status, message }),
    ...options,
  });
}
