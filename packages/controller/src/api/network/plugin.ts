import type { ServicePlugin } from '../plugins.ts';

export const networkPlugin: ServicePlugin = async () => {};
