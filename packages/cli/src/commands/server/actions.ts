import type { Cloud } from '../../cloud/cloud.ts';
import { findId } from '../../cloud/find.ts';
import type { Command, CommandOption, Input, Terminal } from '../../command.ts';
import type { Json } from '../../json.ts';
import { waitForServer } from '../../wait-for-server.ts';
import { forEach } from '../for-each.ts';

const allProjects: CommandOption = { flags: '--all-projects', description: 'search in all projects (admin only)' };
const wait: CommandOption = { flags: '--wait', description: 'wait until it is done' };

interface Action {
  readonly words: string;
  readonly summary: string;
  /** The body of `POST /servers/{id}/action`. */
  readonly body: (input: Input, cloud: Cloud) => Json | Promise<Json>;
  readonly options?: readonly CommandOption[];
  /** Where `--wait` ends: these statuses, with no task under way. */
  readonly until?: readonly string[];
  /** It takes one server instead of several. */
  readonly single?: boolean;
}

const bodyOf =
  (name: string, value: Json = null) =>
  (): Json => ({ [name]: value });

const actions: readonly Action[] = [
  { words: 'server start', summary: 'Start server(s)', body: bodyOf('os-start'), options: [allProjects], until: ['ACTIVE'] },
  { words: 'server stop', summary: 'Stop server(s)', body: bodyOf('os-stop'), options: [allProjects], until: ['SHUTOFF'] },
  { words: 'server pause', summary: 'Pause server(s)', body: bodyOf('pause'), until: ['PAUSED'] },
  { words: 'server unpause', summary: 'Unpause server(s)', body: bodyOf('unpause'), until: ['ACTIVE'] },
  { words: 'server suspend', summary: 'Suspend server(s)', body: bodyOf('suspend'), until: ['SUSPENDED'] },
  { words: 'server resume', summary: 'Resume server(s)', body: bodyOf('resume'), until: ['ACTIVE'] },
  { words: 'server unlock', summary: 'Unlock server(s)', body: bodyOf('unlock') },
  {
    words: 'server lock',
    summary: 'Lock server(s): only an admin may change them',
    options: [{ flags: '--reason <reason>', description: 'why (2.73)' }],
    body: (input, cloud) => {
      const reason = input.text('reason');
      if (reason === null) return { lock: null };
      cloud.require(73, 'use the --reason option.');
      return { lock: { locked_reason: reason } };
    },
  },
  {
    words: 'server reboot',
    summary: 'Reboot a server',
    single: true,
    options: [
      { flags: '--hard', description: 'as if the power were cut' },
      { flags: '--soft', description: 'ask the guest (default)' },
    ],
    body: (input) => ({ reboot: { type: input.flag('hard') ? 'HARD' : 'SOFT' } }),
    until: ['ACTIVE'],
  },
  {
    words: 'server rescue',
    summary: 'Put a server in rescue mode',
    single: true,
    options: [
      { flags: '--image <image>', description: 'image to boot (name or ID)' },
      { flags: '--password <password>', description: 'password of the rescue system' },
    ],
    body: async (input, cloud) => {
      const image = input.text('image');
      return {
        rescue: {
          ...(image === null ? {} : { rescue_image_ref: await findId(cloud, 'image', image) }),
          ...(input.text('password') === null ? {} : { adminPass: input.text('password') }),
        },
      };
    },
  },
  { words: 'server unrescue', summary: 'Restore a server from rescue mode', single: true, body: bodyOf('unrescue') },
  { words: 'server restore', summary: 'Restore server(s) that were deleted softly', body: bodyOf('restore') },
  {
    words: 'server unshelve',
    summary: 'Unshelve server(s)',
    options: [
      { flags: '--availability-zone <zone>', description: 'where a SHELVED_OFFLOADED server goes and stays (2.77)' },
      { flags: '--no-availability-zone', description: 'it may go anywhere from now on (2.91)' },
      { flags: '--host <host>', description: 'where a SHELVED_OFFLOADED server goes (2.91, admin only)' },
    ],
    body: (input, cloud) => {
      const [zone, host, anywhere] = [input.text('availability-zone'), input.text('host'), input.flag('no-availability-zone')];
      if (zone !== null) cloud.require(77, 'use the --availability-zone option.');
      if (host !== null || anywhere) cloud.require(91, 'use the --host or --no-availability-zone option.');
      const args = {
        ...(zone !== null || anywhere ? { availability_zone: zone } : {}),
        ...(host === null ? {} : { host }),
      };
      return { unshelve: Object.keys(args).length === 0 ? null : args };
    },
    until: ['ACTIVE'],
  },
  { words: 'server resize confirm', summary: 'Confirm the resize or migration of server(s)', body: bodyOf('confirmResize') },
  { words: 'server resize revert', summary: 'Revert the resize or migration of server(s)', body: bodyOf('revertResize') },
  { words: 'server migration confirm', summary: 'Confirm the migration of server(s)', body: bodyOf('confirmResize') },
  { words: 'server migration revert', summary: 'Revert the migration of server(s)', body: bodyOf('revertResize') },
  // Older words of the openstack command for the same.
  { words: 'server migrate confirm', summary: 'As server migration confirm', body: bodyOf('confirmResize') },
  { words: 'server migrate revert', summary: 'As server migration revert', body: bodyOf('revertResize') },
];

/** The actions that are one `POST /servers/{id}/action` each. */
export const serverActions: readonly Command[] = actions.map((action) => ({
  words: action.words,
  summary: action.summary,
  arguments: [action.single === true ? '<server>' : '<server...>'],
  options: [...(action.options ?? []), ...(action.until === undefined ? [] : [wait])],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const body = await action.body(input, cloud);
    await forEach(input.arguments('server'), terminal, async (given) => act(cloud, input, terminal, action, given, body));
  },
}));

async function act(cloud: Cloud, input: Input, terminal: Terminal, action: Action, given: string, body: Json): Promise<void> {
  const id = await findId(cloud, 'server', given, input.flag('all-projects') ? { all_tenants: true } : {});
  await (await cloud.compute()).post(`/servers/${id}/action`, body);
  if (action.until !== undefined && input.flag('wait')) await waitForServer(cloud, id, action.until, terminal);
}
