import type { Weigher } from '../weigher.ts';

/** Fewer moves under way into the host: its link is shared by all of them. */
export const incomingMigrations: Weigher = {
  name: 'incoming-migrations',
  prepare: ({ kind }) => (kind === 'create' ? null : (host) => host.incomingMigrations),
  describe: (weight) =>
    weight === 0 ? 'no move under way into it' : weight === 1 ? '1 move under way into it' : `${weight} moves under way into it`,
};
