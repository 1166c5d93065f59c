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
];
