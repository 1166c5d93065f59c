import type { ServicePlugin } from '../plugins.ts';

export const identityPlugin: ServicePlugin = async () => {};
