import type { Cloud } from '../cloud/cloud.ts';
import { find, findId } from '../cloud/find.ts';
import type { Command, ShowResult } from '../command.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../json.ts';
import { keyValues } from '../key-values.ts';
import { type Cell, dictionary, listOf } from '../render/cell.ts';
import { forEach } from './for-each.ts';

const list = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

/** The zone is a field of its own, and metadata too: it is shown once. */
function withoutZone(metadata: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'availability_zone'));
}

function fieldsOf(aggregate: JsonObject, properties: JsonObject): ShowResult {
  const fields: (readonly [string, Cell])[] = [
    ['availability_zone', aggregate.availability_zone ?? null],
    ['created_at', aggregate.created_at ?? null],
    ['deleted_at', aggregate.deleted_at ?? null],
    ['hosts', listOf(list(aggregate.hosts))],
    ['id', aggregate.id ?? null],
    ['is_deleted', aggregate.deleted ?? null],
    ['name', aggregate.name ?? null],
    ['properties', dictionary(properties)],
    ['updated_at', aggregate.updated_at ?? null],
    ['uuid', aggregate.uuid ?? null],
  ];
  return fields;
}

const action = async (cloud: Cloud, id: string, body: Json): Promise<JsonObject> =>
  objectAt(await (await cloud.compute()).post(`/os-aggregates/${id}/action`, body), 'aggregate');

const whole = (aggregate: JsonObject): ShowResult => fieldsOf(aggregate, objectAt(aggregate, 'metadata'));

const hostCommand = (what: 'add' | 'remove', summary: string): Command => ({
  words: `aggregate ${what} host`,
  summary,
  arguments: ['<aggregate>', '<host>'],
  output: 'show',
  run: async (cloud, input) => {
    const id = await findId(cloud, 'aggregate', input.argument('aggregate'));
    return whole(await action(cloud, id, { [`${what}_host`]: { host: input.argument('host') } }));
  },
});

const metadata = async (cloud: Cloud, id: string, values: { readonly [key: string]: string | null }): Promise<JsonObject | null> =>
  Object.keys(values).length === 0 ? null : action(cloud, id, { set_metadata: { metadata: values } });

const properties = { flags: '--property <key=value>', description: 'property to set, can be repeated', repeat: true };

export const commands: readonly Command[] = [
  {
    words: 'aggregate list',
    summary: 'List all aggregates',
    options: [{ flags: '--long', description: 'list additional fields' }],
    output: 'list',
    run: async (cloud, input) => {
      const aggregates = await (await cloud.compute()).all('/os-aggregates', 'aggregates');
      const long = input.flag('long');
      return {
        columns: ['ID', 'Name', 'Availability Zone', ...(long ? ['Properties', 'Hosts'] : [])],
        rows: aggregates.map((each) => [
          each.id ?? null,
          each.name ?? null,
          each.availability_zone ?? null,
          ...(long ? [dictionary(withoutZone(objectAt(each, 'metadata'))), listOf(list(each.hosts))] : []),
        ]),
      };
    },
  },
  {
    words: 'aggregate show',
    summary: 'Show an aggregate',
    arguments: ['<aggregate>'],
    output: 'show',
    run: async (cloud, input) => {
      const aggregate = await find(cloud, 'aggregate', input.argument('aggregate'));
      return fieldsOf(aggregate, withoutZone(objectAt(aggregate, 'metadata')));
    },
  },
  {
    words: 'aggregate create',
    summary: 'Create a new aggregate',
    arguments: ['<name>'],
    options: [{ flags: '--zone <availability-zone>', description: 'the zone of its hosts' }, properties],
    output: 'show',
    run: async (cloud, input) => {
      const zone = input.text('zone');
      const given = keyValues(input.texts('property'), 'property');
      const body = { aggregate: { name: input.argument('name'), ...(zone === null ? {} : { availability_zone: zone }) } };
      const made = objectAt(await (await cloud.compute()).post('/os-aggregates', body), 'aggregate');
      return whole((await metadata(cloud, textAt(made, 'id'), given)) ?? made);
    },
  },
  {
    words: 'aggregate set',
    summary: 'Set aggregate properties',
    arguments: ['<aggregate>'],
    options: [
      { flags: '--name <name>', description: 'new name' },
      { flags: '--zone <availability-zone>', description: 'new zone' },
      properties,
      { flags: '--no-property', description: 'remove all properties' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const given = keyValues(input.texts('property'), 'property');
      const aggregate = await find(cloud, 'aggregate', input.argument('aggregate'));
      const [name, zone] = [input.text('name'), input.text('zone')];
      const id = textAt(aggregate, 'id');
      if (name !== null || zone !== null)
        await (await cloud.compute()).put(`/os-aggregates/${id}`, {
          aggregate: { ...(name === null ? {} : { name }), ...(zone === null ? {} : { availability_zone: zone }) },
        });
      const cleared = input.flag('no-property')
        ? Object.fromEntries(Object.keys(withoutZone(objectAt(aggregate, 'metadata'))).map((key) => [key, null]))
        : {};
      await metadata(cloud, id, { ...cleared, ...given });
    },
  },
  {
    words: 'aggregate unset',
    summary: 'Unset aggregate properties',
    arguments: ['<aggregate>'],
    options: [{ flags: '--property <key>', description: 'property to remove, can be repeated', repeat: true }],
    output: 'none',
    run: async (cloud, input) => {
      const id = await findId(cloud, 'aggregate', input.argument('aggregate'));
      await metadata(cloud, id, Object.fromEntries(input.texts('property').map((key) => [key, null])));
    },
  },
  {
    words: 'aggregate delete',
    summary: 'Delete existing aggregate(s)',
    arguments: ['<aggregate...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const compute = await cloud.compute();
      await forEach(input.arguments('aggregate'), terminal, async (given) => {
        await compute.delete(`/os-aggregates/${await findId(cloud, 'aggregate', given)}`);
      });
    },
  },
  hostCommand('add', 'Add a host to an aggregate'),
  hostCommand('remove', 'Remove a host from an aggregate'),
];
