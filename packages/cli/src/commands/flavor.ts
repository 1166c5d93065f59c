import type { Cloud } from '../cloud/cloud.ts';
import { find, findId } from '../cloud/find.ts';
import type { Command, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, objectAt, objectsAt, textAt } from '../json.ts';
import { keyValues } from '../key-values.ts';
import { type Cell, dictionary } from '../render/cell.ts';
import { forEach } from './for-each.ts';
import { idInDomain, projectDomain } from './in-domain.ts';

/** Before 2.75 no swap is an empty text. */
const swapOf = (flavor: JsonObject): Json => (flavor.swap === '' ? 0 : (flavor.swap ?? 0));

/** From 2.61 on the list tells them; before, every flavor is asked. */
async function extraSpecs(cloud: Cloud, flavor: JsonObject): Promise<JsonObject> {
  if ('extra_specs' in flavor) return objectAt(flavor, 'extra_specs');
  return objectAt(await (await cloud.compute()).get(`/flavors/${textAt(flavor, 'id')}/os-extra_specs`), 'extra_specs');
}

function fieldsOf(flavor: JsonObject, specs: JsonObject, access: Json): ShowResult {
  const fields: (readonly [string, Cell])[] = [
    ['OS-FLV-DISABLED:disabled', flavor['OS-FLV-DISABLED:disabled'] ?? false],
    ['OS-FLV-EXT-DATA:ephemeral', flavor['OS-FLV-EXT-DATA:ephemeral'] ?? 0],
    ['access_project_ids', access],
    ['description', flavor.description ?? null],
    ['disk', flavor.disk ?? 0],
    ['id', flavor.id ?? null],
    ['name', flavor.name ?? null],
    ['os-flavor-access:is_public', flavor['os-flavor-access:is_public'] ?? true],
    ['properties', dictionary(specs)],
    ['ram', flavor.ram ?? 0],
    ['rxtx_factor', flavor.rxtx_factor ?? 1],
    ['swap', swapOf(flavor)],
    ['vcpus', flavor.vcpus ?? 0],
  ];
  return fields;
}

const setSpecs = async (cloud: Cloud, id: string, specs: Readonly<Record<string, string>>): Promise<void> => {
  if (Object.keys(specs).length > 0) await (await cloud.compute()).post(`/flavors/${id}/os-extra_specs`, { extra_specs: specs });
};

const access = async (
  cloud: Cloud,
  input: Input,
  id: string,
  action: 'addTenantAccess' | 'removeTenantAccess',
  project: string,
): Promise<void> => {
  const tenant = await idInDomain(cloud, input, 'project', project);
  await (await cloud.compute()).post(`/flavors/${id}/action`, { [action]: { tenant } });
};

export const commands: readonly Command[] = [
  {
    words: 'flavor list',
    summary: 'List flavors',
    options: [
      { flags: '--public', description: 'only public flavors (default)' },
      { flags: '--private', description: 'only private flavors' },
      { flags: '--all', description: 'all flavors, public or private' },
      { flags: '--min-disk <min-disk>', description: 'at least this much disk (GB)', kind: 'integer' },
      { flags: '--min-ram <min-ram>', description: 'at least this much RAM (MB)', kind: 'integer' },
      { flags: '--long', description: 'list additional fields' },
      { flags: '--marker <flavor-id>', description: 'the last flavor of the previous page' },
      { flags: '--limit <num-flavors>', description: 'the largest number of flavors', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const compute = await cloud.compute();
      const query = {
        is_public: input.flag('all') ? 'None' : !input.flag('private'),
        minDisk: input.integer('min-disk'),
        minRam: input.integer('min-ram'),
        marker: input.text('marker'),
        limit: input.integer('limit'),
      };
      const paged = query.limit !== null || query.marker !== null;
      const flavors = paged
        ? objectsAt(await compute.get('/flavors/detail', query), 'flavors')
        : await compute.all('/flavors/detail', 'flavors', query);
      const long = input.flag('long');
      const specs = long ? await Promise.all(flavors.map(async (flavor) => extraSpecs(cloud, flavor))) : [];
      return {
        columns: ['ID', 'Name', 'RAM', 'Disk', 'Ephemeral', 'VCPUs', 'Is Public', ...(long ? ['Swap', 'RXTX Factor', 'Properties'] : [])],
        rows: flavors.map((flavor, index) => [
          flavor.id ?? null,
          flavor.name ?? null,
          flavor.ram ?? 0,
          flavor.disk ?? 0,
          flavor['OS-FLV-EXT-DATA:ephemeral'] ?? 0,
          flavor.vcpus ?? 0,
          flavor['os-flavor-access:is_public'] ?? true,
          ...(long ? [swapOf(flavor), flavor.rxtx_factor ?? null, dictionary(specs[index] ?? {})] : []),
        ]),
      };
    },
  },
  {
    words: 'flavor show',
    summary: 'Show a flavor',
    arguments: ['<flavor>'],
    output: 'show',
    run: async (cloud, input) => {
      const flavor = await find(cloud, 'flavor', input.argument('flavor'));
      const specs = await extraSpecs(cloud, flavor);
      const isPublic = flavor['os-flavor-access:is_public'] !== false;
      const projects = isPublic
        ? null
        : objectsAt(await (await cloud.compute()).get(`/flavors/${textAt(flavor, 'id')}/os-flavor-access`), 'flavor_access').map(
            (each) => each.tenant_id ?? null,
          );
      return fieldsOf(flavor, specs, projects);
    },
  },
  {
    words: 'flavor create',
    summary: 'Create a new flavor',
    arguments: ['<name>'],
    options: [
      { flags: '--id <id>', description: 'its id; chosen by the cloud by default' },
      { flags: '--ram <size-mb>', description: 'RAM in MB (256)', kind: 'integer' },
      { flags: '--disk <size-gb>', description: 'root disk in GB (0)', kind: 'integer' },
      { flags: '--ephemeral <size-gb>', description: 'ephemeral disk in GB (0)', kind: 'integer' },
      { flags: '--swap <size-mb>', description: 'swap in MB (0)', kind: 'integer' },
      { flags: '--vcpus <vcpus>', description: 'vCPUs (1)', kind: 'integer' },
      { flags: '--rxtx-factor <factor>', description: 'RX/TX factor (1.0)' },
      { flags: '--public', description: 'for all projects (default)' },
      { flags: '--private', description: 'only for projects with access' },
      { flags: '--property <key=value>', description: 'extra spec, can be repeated', repeat: true },
      { flags: '--project <project>', description: 'give this project access (with --private)' },
      projectDomain,
      { flags: '--description <description>', description: 'description (2.55)' },
    ],
    output: 'show',
    run: async (cloud, input) => {
      const [project, description] = [input.text('project'), input.text('description')];
      if (project !== null && !input.flag('private'))
        throw new CommandError('--project is only allowed with --private', { exitCode: exitCodes.usage });
      if (description !== null) cloud.require(55, 'support the --description parameter');
      const specs = keyValues(input.texts('property'), 'property');
      const factor = Number(input.text('rxtx-factor') ?? 1);
      if (!Number.isFinite(factor)) throw new CommandError('--rxtx-factor takes a number.', { exitCode: exitCodes.usage });
      const body = {
        flavor: {
          name: input.argument('name'),
          ram: input.integer('ram') ?? 256,
          vcpus: input.integer('vcpus') ?? 1,
          disk: input.integer('disk') ?? 0,
          id: input.text('id'),
          'OS-FLV-EXT-DATA:ephemeral': input.integer('ephemeral') ?? 0,
          swap: input.integer('swap') ?? 0,
          rxtx_factor: factor,
          'os-flavor-access:is_public': !input.flag('private'),
          ...(description === null ? {} : { description }),
        },
      };
      const flavor = objectAt(await (await cloud.compute()).post('/flavors', body), 'flavor');
      if (project !== null) await access(cloud, input, textAt(flavor, 'id'), 'addTenantAccess', project);
      await setSpecs(cloud, textAt(flavor, 'id'), specs);
      return fieldsOf(flavor, specs, null).filter(([name]) => name !== 'access_project_ids');
    },
  },
  {
    words: 'flavor set',
    summary: 'Set flavor properties',
    arguments: ['<flavor>'],
    options: [
      { flags: '--no-property', description: 'remove all extra specs first' },
      { flags: '--property <key=value>', description: 'extra spec, can be repeated', repeat: true },
      { flags: '--project <project>', description: 'give this project access' },
      projectDomain,
      { flags: '--description <description>', description: 'new description (2.55)' },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const compute = await cloud.compute();
      const specs = keyValues(input.texts('property'), 'property');
      if (input.text('description') !== null) cloud.require(55, 'support the --description parameter');
      const flavor = await find(cloud, 'flavor', input.argument('flavor'));
      const id = textAt(flavor, 'id');
      if (input.text('description') !== null) await compute.put(`/flavors/${id}`, { flavor: { description: input.text('description') } });
      if (input.flag('no-property'))
        for (const key of Object.keys(await extraSpecs(cloud, flavor)))
          await compute.delete(`/flavors/${id}/os-extra_specs/${encodeURIComponent(key)}`);
      await setSpecs(cloud, id, specs);
      const project = input.text('project');
      if (project !== null && flavor['os-flavor-access:is_public'] !== false)
        throw new CommandError('Cannot set access for a public flavor');
      if (project !== null) await access(cloud, input, id, 'addTenantAccess', project);
    },
  },
  {
    words: 'flavor unset',
    summary: 'Unset flavor properties',
    arguments: ['<flavor>'],
    options: [
      { flags: '--property <key>', description: 'extra spec to remove, can be repeated', repeat: true },
      { flags: '--project <project>', description: 'take access from this project' },
      projectDomain,
    ],
    output: 'none',
    run: async (cloud, input) => {
      const compute = await cloud.compute();
      const flavor = await find(cloud, 'flavor', input.argument('flavor'));
      for (const key of input.texts('property'))
        await compute.delete(`/flavors/${textAt(flavor, 'id')}/os-extra_specs/${encodeURIComponent(key)}`);
      const project = input.text('project');
      if (project !== null && flavor['os-flavor-access:is_public'] !== false)
        throw new CommandError('Cannot remove access for a public flavor');
      if (project !== null) await access(cloud, input, textAt(flavor, 'id'), 'removeTenantAccess', project);
    },
  },
  {
    words: 'flavor delete',
    summary: 'Delete flavor(s)',
    arguments: ['<flavor...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const compute = await cloud.compute();
      await forEach(input.arguments('flavor'), terminal, async (given) => {
        await compute.delete(`/flavors/${await findId(cloud, 'flavor', given)}`);
      });
    },
  },
];
