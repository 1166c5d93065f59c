import type { ServicePlugin } from '../plugins.ts';

export const godwitPlugin: ServicePlugin = async () => {};
