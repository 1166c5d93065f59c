import type { Weigher } from './weigher.ts';
import { incomingMigrations } from './weighers/incoming-migrations.ts';
import { load } from './weighers/load.ts';
import { softGroup } from './weighers/soft-group.ts';

/** The weighers in order of precedence: soft group rules before every load weigher. */
export const weighers: readonly Weigher[] = [softGroup, load, incomingMigrations];
