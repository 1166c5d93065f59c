import { findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { waitForServer } from '../../wait-for-server.ts';

export const serverResize: Command = {
  words: 'server resize',
  summary: 'Scale a server to a new flavor; confirm or revert it afterwards',
  arguments: ['<server>'],
  options: [
    { flags: '--flavor <flavor>', description: 'resize to this flavor (name or ID)' },
    { flags: '--confirm', description: 'confirm the resize (rather `server resize confirm`)' },
    { flags: '--revert', description: 'revert the resize (rather `server resize revert`)' },
    { flags: '--wait', description: 'wait until it is done' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const flavor = input.text('flavor');
    const chosen = [flavor !== null, input.flag('confirm'), input.flag('revert')].filter(Boolean).length;
    if (chosen !== 1) throw new CommandError('One of --flavor, --confirm and --revert is needed.', { exitCode: exitCodes.usage });
    const compute = await cloud.compute();
    const id = await findId(cloud, 'server', input.argument('server'));
    if (flavor === null) {
      await compute.post(`/servers/${id}/action`, input.flag('confirm') ? { confirmResize: null } : { revertResize: null });
      return;
    }
    await compute.post(`/servers/${id}/action`, { resize: { flavorRef: await findId(cloud, 'flavor', flavor) } });
    if (!input.flag('wait')) return;
    await waitForServer(cloud, id, ['VERIFY_RESIZE'], terminal);
    terminal.out('Complete\n');
  },
};
