import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';

/** What people try: each is answered by the truth instead of an unknown word. */
const tried = ['list', 'show', 'create', 'delete', 'set', 'snapshot list', 'snapshot create', 'type list'] as const;

const noVolumes = (words: string): Command => ({
  words,
  summary: 'Volumes: Godwit has none, and says so',
  arguments: ['[anything...]'],
  output: 'offline',
  run: async () => {
    throw new CommandError('Godwit has no volumes: a server has the disk of its flavor, in a pool of its host or of all hosts.', {
      next: 'A flavor with --disk and the extra spec godwit:storage=shared|local says where; `godwit server image create` copies a disk. On another cloud use the openstack command.',
    });
  },
});

export const commands: readonly Command[] = tried.map((word) => noVolumes(`volume ${word}`));

export const serverVolumes: readonly Command[] = ['add volume', 'remove volume', 'volume list'].map((word) => noVolumes(`server ${word}`));
