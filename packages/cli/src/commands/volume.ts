import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';

/** What people try: each is answered by the truth instead of an unknown word. */
const tried = ['list', 'show', 'create', 'delete', 'set', 'snapshot list', 'snapshot create', 'type list'] as const;

export const commands: readonly Command[] = tried.map(
  (word): Command => ({
    words: `volume ${word}`,
    summary: 'Volumes: Godwit has none, and says so',
    arguments: ['[anything...]'],
    output: 'offline',
    run: async () => {
      throw new CommandError('Godwit has no volumes: a server has the disk of its flavor, in a pool of its host or of all hosts.', {
        next: 'A flavor with --disk and the extra spec godwit:storage=shared|local says where; `godwit server image create` copies a disk. On another cloud use `openstack volume`.',
      });
    },
  }),
);
