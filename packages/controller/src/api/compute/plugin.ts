import type { ServicePlugin } from '../plugins.ts';

export const computePlugin: ServicePlugin = async () => {};
