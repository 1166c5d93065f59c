import type { ServicePlugin } from '../plugins.ts';

export const placementPlugin: ServicePlugin = async () => {};
