import type { Cloud } from '../../cloud/cloud.ts';
import { find } from '../../cloud/find.ts';
import type { Command, CommandOption, Terminal } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../../json.ts';
import { keyValues } from '../../key-values.ts';
import { pause } from '../../pause.ts';
import { imageFields } from '../image.ts';

const LOOK_EVERY_MS = 500;
const wait: CommandOption = { flags: '--wait', description: 'wait until the image has all of its data' };

/** Images made of servers. */
export const serverImages: readonly Command[] = [
  {
    words: 'server image create',
    summary: 'Create a disk image of a server; it runs on, or stays off, meanwhile',
    arguments: ['<server>'],
    options: [
      { flags: '--name <image-name>', description: 'name of the image (default: the server’s)' },
      { flags: '--property <key=value>', description: 'set metadata of the image, can be repeated', repeat: true },
      wait,
    ],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const server = await find(cloud, 'server', input.argument('server'));
      const metadata = keyValues(input.texts('property'), 'property');
      const createImage = {
        name: input.text('name') ?? textAt(server, 'name'),
        ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
      };
      return made(cloud, terminal, textAt(server, 'id'), { createImage }, input.flag('wait'));
    },
  },
  {
    words: 'server backup create',
    summary: 'Create a backup image of a server, and delete the oldest beyond --rotate',
    arguments: ['<server>'],
    options: [
      { flags: '--name <image-name>', description: 'name of the image (default: the server’s)' },
      { flags: '--type <type>', description: 'what its rotation counts with, such as daily (default)' },
      { flags: '--rotate <count>', description: 'how many of this type are kept (1)', kind: 'integer' },
      wait,
    ],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const server = await find(cloud, 'server', input.argument('server'));
      const createBackup = {
        name: input.text('name') ?? textAt(server, 'name'),
        backup_type: input.text('type') ?? 'daily',
        rotation: input.integer('rotate') ?? 1,
      };
      return made(cloud, terminal, textAt(server, 'id'), { createBackup }, input.flag('wait'));
    },
  },
];

/** Below 2.45 the answer names the image by a header alone, so the request is made at 2.45. */
async function made(cloud: Cloud, terminal: Terminal, serverId: string, body: Json, waits: boolean) {
  const answer = await (await cloud.computeAt('2.45')).post(`/servers/${serverId}/action`, body);
  const id = textAt(answer, 'image_id');
  if (id === '') throw new CommandError('The cloud did not say which image it makes.', { next: '`godwit image list` may show it.' });
  const images = await cloud.service('image');
  for (;;) {
    const image: JsonObject = objectAt({ image: await images.get(`/images/${encodeURIComponent(id)}`) }, 'image');
    const status = textAt(image, 'status');
    if (!waits || status === 'active') return imageFields(image);
    if (status !== 'queued' && status !== 'saving')
      throw new CommandError(`The image ${id} is ${status}: it did not get its data.`, {
        exitCode: exitCodes.endedOtherwise,
        next: `\`godwit server event list ${serverId}\` tells what happened.`,
      });
    await pause(LOOK_EVERY_MS, terminal.interrupted);
  }
}
