import { findId } from '../../cloud/find.ts';
import type { Command } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { objectAt, objectsAt, textAt } from '../../json.ts';
import { waitUntilIdle } from '../../wait-for-server.ts';

export const serverScale: Command = {
  words: 'server scale',
  summary: 'Give a server other vCPUs or memory where it is and without a restart; one that runs only more vCPUs',
  arguments: ['<server>'],
  options: [
    { flags: '--vcpus <vcpus>', description: 'how many, up to its flavor’s godwit:max_vcpus', kind: 'integer' },
    { flags: '--ram <MiB>', description: 'how much memory, up to its flavor’s godwit:max_ram_mib', kind: 'integer' },
    { flags: '--wait', description: 'wait until it is done' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const vcpus = input.integer('vcpus');
    const ramMib = input.integer('ram');
    if (vcpus === null && ramMib === null) throw new CommandError('--vcpus or --ram is needed.', { exitCode: exitCodes.usage });
    const asked = [...(vcpus === null ? [] : [`${vcpus} vCPUs`]), ...(ramMib === null ? [] : [`${ramMib} MiB of memory`])].join(' and ');
    const id = await findId(cloud, 'server', input.argument('server'));
    const accepted = await (await cloud.service('godwit')).post(`/servers/${id}/scale`, {
      ...(vcpus !== null && { vcpus }),
      ...(ramMib !== null && { ramMib }),
    });
    if (!input.flag('wait')) return;
    await waitUntilIdle(cloud, id, terminal);
    // From then on a member is told how it ended, and an admin why; a cloud that scales is not older.
    const action = await (await cloud.computeAt('2.84')).get(`/servers/${id}/os-instance-actions/${textAt(accepted, 'requestId')}`);
    const [event] = objectsAt(objectAt(action, 'instanceAction'), 'events');
    if (event === undefined || textAt(event, 'result') !== 'Success')
      throw new CommandError(
        `Server ${id} does not have ${asked} now: ${(event && textAt(event, 'details')) || 'the cause is told to administrators'}.`,
        {
          exitCode: exitCodes.endedOtherwise,
          next: `\`godwit server event show ${id} ${textAt(accepted, 'requestId')}\` tells what happened.`,
        },
      );
    terminal.out('Complete\n');
  },
};
