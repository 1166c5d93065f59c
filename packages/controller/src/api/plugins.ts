import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../app-context.ts';
import { computePlugin } from './compute/plugin.ts';
import { godwitPlugin } from './godwit/plugin.ts';
import { identityPlugin } from './identity/plugin.ts';
import { imagePlugin } from './image/plugin.ts';
import { networkPlugin } from './network/plugin.ts';
import { placementPlugin } from './placement/plugin.ts';
import { rootPlugin } from './root/plugin.ts';
import { servicePrefixes } from './service-prefixes.ts';

/** The routes of one service. Registered encapsulated under its prefix: hooks, parsers and error handlers stay inside. */
export type ServicePlugin = (app: FastifyInstance, context: AppContext) => Promise<void>;

/** Every service of the public listener. */
export const servicePlugins: readonly { readonly prefix: string; readonly plugin: ServicePlugin }[] = [
  { prefix: servicePrefixes.identity, plugin: identityPlugin },
  { prefix: servicePrefixes.compute, plugin: computePlugin },
  { prefix: servicePrefixes.image, plugin: imagePlugin },
  { prefix: servicePrefixes.network, plugin: networkPlugin },
  { prefix: servicePrefixes.placement, plugin: placementPlugin },
  { prefix: servicePrefixes.godwit, plugin: godwitPlugin },
  { prefix: '', plugin: rootPlugin },
];
