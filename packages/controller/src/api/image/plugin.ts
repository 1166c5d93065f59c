import type { ServicePlugin } from '../plugins.ts';

export const imagePlugin: ServicePlugin = async () => {};
