import type { Command } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { objectAt, objectsAt, textAt } from '../json.ts';

/** The API has hosts of this kind up to 2.42; the `openstack` command asks at 2.1, whatever version was chosen. */
const version = '2.1';

/** The words about single hosts that the `openstack` command has too. */
export const computeHostCommands: readonly Command[] = [
  {
    words: 'host list',
    summary: 'List hosts',
    options: [{ flags: '--zone <zone>', description: 'only hosts in this availability zone' }],
    output: 'list',
    run: async (cloud, input) => {
      const hosts = objectsAt(await (await cloud.computeAt(version)).get('/os-hosts', { zone: input.text('zone') }), 'hosts');
      return {
        columns: ['Host Name', 'Service', 'Zone'],
        rows: hosts.map((host) => [textAt(host, 'host_name'), textAt(host, 'service'), textAt(host, 'zone')]),
      };
    },
  },
  {
    words: 'host show',
    summary: 'Display host details',
    arguments: ['<host>'],
    output: 'list',
    run: async (cloud, input) => {
      const path = `/os-hosts/${encodeURIComponent(input.argument('host'))}`;
      const resources = objectsAt(await (await cloud.computeAt(version)).get(path), 'host').map((each) => objectAt(each, 'resource'));
      return {
        columns: ['Host', 'Project', 'CPU', 'Memory MB', 'Disk GB'],
        rows: resources.map((each) => [each.host, each.project, each.cpu, each.memory_mb, each.disk_gb].map((value) => value ?? null)),
      };
    },
  },
  {
    words: 'host set',
    summary: 'Set host properties',
    arguments: ['<host>'],
    options: [
      { flags: '--enable', description: 'enable the host' },
      { flags: '--disable', description: 'disable the host: nothing new goes there (with a reason: `godwit compute service set`)' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const [enable, disable] = [input.flag('enable'), input.flag('disable')];
      if (enable && disable) throw new CommandError('Give --enable or --disable, not both.', { exitCode: exitCodes.usage });
      // As the `openstack` command: nothing asked for, nothing done.
      if (enable || disable)
        await (await cloud.computeAt(version)).put(`/os-hosts/${encodeURIComponent(input.argument('host'))}`, {
          status: enable ? 'enable' : 'disable',
        });
    },
  },
];
