import type { Cloud } from '../cloud/cloud.ts';
import type { Command } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, objectsAt, textAt } from '../json.ts';
import { forEach } from './for-each.ts';

export const commands: readonly Command[] = [
  {
    words: 'compute service list',
    summary: 'List compute services',
    options: [
      { flags: '--host <host>', description: 'only services on this host' },
      { flags: '--service <service>', description: 'only this service (its binary)' },
      { flags: '--long', description: 'list additional fields' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const body = await (await cloud.compute()).get('/os-services', { host: input.text('host'), binary: input.text('service') });
      const long = input.flag('long');
      const columns = [
        ['ID', 'id'],
        ['Binary', 'binary'],
        ['Host', 'host'],
        ['Zone', 'zone'],
        ['Status', 'status'],
        ['State', 'state'],
        ['Updated At', 'updated_at'],
        ...(long ? [['Disabled Reason', 'disabled_reason'] as const] : []),
        ...(long && cloud.supports(11) ? [['Forced Down', 'forced_down'] as const] : []),
      ] as const;
      return {
        columns: columns.map(([title]) => title),
        rows: objectsAt(body, 'services').map((service) => columns.map(([, key]) => service[key] ?? null)),
      };
    },
  },
  {
    words: 'compute service set',
    summary: 'Enable or disable a compute service, force it down or up',
    arguments: ['<host>', '<service>'],
    options: [
      { flags: '--enable', description: 'place servers there again' },
      { flags: '--disable', description: 'place no more servers there' },
      { flags: '--disable-reason <reason>', description: 'why, shown in every verdict' },
      { flags: '--up', description: 'force up (2.11)' },
      { flags: '--down', description: 'force down (2.11)' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const [enable, disable, reason] = [input.flag('enable'), input.flag('disable'), input.text('disable-reason')];
      if (enable && disable) throw new CommandError('--enable and --disable exclude each other.', { exitCode: exitCodes.usage });
      if (input.flag('up') && input.flag('down'))
        throw new CommandError('--up and --down exclude each other.', { exitCode: exitCodes.usage });
      if (reason !== null && !disable)
        throw new CommandError('Cannot specify option --disable-reason without --disable specified.', { exitCode: exitCodes.usage });
      if (input.flag('up') || input.flag('down')) cloud.require(11, 'force a service up or down');
      const [host, binary] = [input.argument('host'), input.argument('service')];
      if (enable || disable)
        await change(cloud, host, binary, {
          modern: { status: enable ? 'enabled' : 'disabled', ...(reason === null ? {} : { disabled_reason: reason }) },
          old: [enable ? 'enable' : reason === null ? 'disable' : 'disable-log-reason', reason === null ? {} : { disabled_reason: reason }],
        });
      if (input.flag('up') || input.flag('down'))
        await change(cloud, host, binary, {
          modern: { forced_down: input.flag('down') },
          old: ['force-down', { forced_down: input.flag('down') }],
        });
    },
  },
  {
    words: 'compute service delete',
    summary: 'Delete compute service(s): the hosts must be empty',
    arguments: ['<service...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const compute = await cloud.compute();
      await forEach(input.arguments('service'), terminal, async (id) => {
        await compute.delete(`/os-services/${encodeURIComponent(id)}`);
      });
    },
  },
];

interface Change {
  /** The body from 2.53 on, where a service is changed by its id. */
  readonly modern: { readonly [key: string]: Json };
  /** The resource and the rest of the body before. */
  readonly old: readonly [resource: string, body: { readonly [key: string]: Json }];
}

async function change(cloud: Cloud, host: string, binary: string, { modern, old }: Change): Promise<void> {
  const compute = await cloud.compute();
  if (!cloud.supports(53)) {
    await compute.put(`/os-services/${old[0]}`, { host, binary, ...old[1] });
    return;
  }
  const [service] = objectsAt(await compute.get('/os-services', { host, binary }), 'services');
  if (service === undefined)
    throw new CommandError(`Compute service for host "${host}" and binary "${binary}" not found.`, {
      next: '`godwit compute service list` shows what there is.',
    });
  await compute.put(`/os-services/${textAt(service, 'id')}`, modern);
}
