import type { Command } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { type JsonObject, objectsAt, textAt } from '../json.ts';
import { Formatted } from '../render/cell.ts';

/** One paragraph per endpoint in tables: region, then interface and address. */
function endpoints(service: JsonObject): Formatted {
  const list = objectsAt(service, 'endpoints');
  const text = list
    .map(
      (each) =>
        `${textAt(each, 'region_id') || textAt(each, 'region') || '<none>'}\n  ${textAt(each, 'interface')}: ${textAt(each, 'url')}\n`,
    )
    .join('');
  return new Formatted(list, text);
}

export const commands: readonly Command[] = [
  {
    words: 'catalog list',
    summary: 'List services in the service catalog',
    output: 'list',
    run: async (cloud) => {
      const { catalog } = await cloud.token();
      return {
        columns: ['Name', 'Type', 'Endpoints'],
        rows: catalog.map((service) => [service.name ?? null, service.type ?? null, endpoints(service)]),
      };
    },
  },
  {
    words: 'catalog show',
    summary: 'Display service catalog details',
    arguments: ['<service>'],
    output: 'show',
    run: async (cloud, input) => {
      const given = input.argument('service');
      const service = (await cloud.token()).catalog.find((each) => each.name === given || each.type === given);
      if (service === undefined) throw new CommandError(`service ${given} not found`);
      return [
        ['endpoints', endpoints(service)],
        ['id', service.id ?? null],
        ['name', service.name ?? null],
        ['type', service.type ?? null],
      ];
    },
  },
  {
    words: 'service list',
    summary: 'List services',
    options: [{ flags: '--long', description: 'list additional fields' }],
    output: 'list',
    run: async (cloud, input) => {
      const services = await (await cloud.service('identity')).all('/services', 'services');
      const columns = input.flag('long') ? ['ID', 'Name', 'Type', 'Description', 'Enabled'] : ['ID', 'Name', 'Type'];
      return { columns, rows: services.map((service) => columns.map((column) => service[column.toLowerCase()] ?? null)) };
    },
  },
  {
    words: 'endpoint list',
    summary: 'List endpoints',
    options: [
      { flags: '--service <service>', description: 'only of this service (type, name or ID)' },
      { flags: '--interface <interface>', description: 'only of this kind', choices: ['admin', 'public', 'internal'] },
      { flags: '--region <region-id>', description: 'only of this region' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const identity = await cloud.service('identity');
      const services = await identity.all('/services', 'services');
      const given = input.text('service');
      const wanted = services.find((each) => given !== null && [each.id, each.type, each.name].includes(given));
      if (given !== null && wanted === undefined)
        throw new CommandError(`No service with a type, name or ID of '${given}' exists.`, {
          next: '`godwit service list` shows what there is.',
        });
      const endpoints = await identity.all('/endpoints', 'endpoints', {
        service_id: textAt(wanted, 'id') || null,
        interface: input.text('interface'),
        region_id: input.text('region'),
      });
      return {
        columns: ['ID', 'Region', 'Service Name', 'Service Type', 'Enabled', 'Interface', 'URL'],
        rows: endpoints.map((each) => {
          const service = services.find(({ id }) => id === each.service_id);
          return [
            each.id ?? null,
            each.region ?? null,
            service?.name ?? null,
            service?.type ?? null,
            each.enabled ?? null,
            each.interface ?? null,
            each.url ?? null,
          ];
        }),
      };
    },
  },
];
