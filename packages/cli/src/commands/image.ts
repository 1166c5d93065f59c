import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Cloud } from '../cloud/cloud.ts';
import { find, findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, numberAt, textAt } from '../json.ts';
import { keyValues } from '../key-values.ts';
import { type Cell, dictionary, listOf } from '../render/cell.ts';
import { forEach } from './for-each.ts';
import { imageMembers } from './image-members.ts';
import { idInDomain, projectDomain } from './in-domain.ts';

const visibilities = ['public', 'private', 'community', 'shared'] as const;

const visibilityOptions: readonly CommandOption[] = visibilities.map((each) => ({ flags: `--${each}`, description: `${each} images` }));

/** The one of these flags that was given, or null. Throws a usage error for more. */
function oneOf(input: Input, flags: readonly string[]): string | null {
  const given = flags.filter((each) => input.flag(each));
  if (given.length > 1) throw new CommandError(`--${given.join(', --')} exclude each other.`, { exitCode: exitCodes.usage });
  return given[0] ?? null;
}

const visibilityOf = (input: Input): string | null => oneOf(input, visibilities);

/** The status that each flag gives a membership. */
const memberships = [
  ['accept', 'accepted'],
  ['reject', 'rejected'],
  ['pending', 'pending'],
] as const;

const shown = new Set([
  'status',
  'name',
  'container_format',
  'created_at',
  'size',
  'disk_format',
  'updated_at',
  'visibility',
  'min_disk',
  'protected',
  'id',
  'file',
  'checksum',
  'owner',
  'virtual_size',
  'min_ram',
  'schema',
]);

/** The fields of an image as `image show` prints them: Glance’s own by name, everything else under `properties`. */
export function imageFields(image: JsonObject): ShowResult {
  const fields = new Map<string, Cell>();
  const properties: Record<string, Json> = {};
  for (const [key, value] of Object.entries(image)) {
    if (value === null || key === 'tags' || key === 'self' || key === 'locations') continue;
    if (shown.has(key)) fields.set(key, value);
    else properties[key] = value;
  }
  fields.set('tags', listOf(Array.isArray(image.tags) ? image.tags : []));
  if (Object.keys(properties).length > 0) fields.set('properties', dictionary(properties));
  return [...fields].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const changeable: readonly CommandOption[] = [
  { flags: '--container-format <format>', description: 'container format (bare)' },
  { flags: '--disk-format <format>', description: 'disk format (raw)' },
  { flags: '--min-disk <disk-gb>', description: 'smallest disk (GB) to boot it', kind: 'integer' },
  { flags: '--min-ram <ram-mb>', description: 'smallest RAM (MB) to boot it', kind: 'integer' },
  { flags: '--protected', description: 'not to be deleted' },
  { flags: '--unprotected', description: 'to be deleted' },
  ...visibilityOptions,
  { flags: '--property <key=value>', description: 'property, can be repeated', repeat: true },
  { flags: '--tag <tag>', description: 'tag, can be repeated', repeat: true },
  { flags: '--project <project>', description: 'its owner (admin only); with --accept, --reject or --pending: the member' },
  projectDomain,
];

/** Properties that the `openstack` command has options for. */
const namedProperties = ['architecture', 'os-distro', 'os-version', 'kernel-id', 'ramdisk-id', 'instance-id'] as const;

/** What `image create` and `image set` may both say of an image. */
function attributesOf(input: Input): Record<string, Json> {
  const given: Record<string, Json> = { ...keyValues(input.texts('property'), 'property') };
  for (const [option, field] of [
    ['container-format', 'container_format'],
    ['disk-format', 'disk_format'],
  ] as const) {
    const value = input.text(option);
    if (value !== null) given[field] = value;
  }
  for (const [option, field] of [
    ['min-disk', 'min_disk'],
    ['min-ram', 'min_ram'],
  ] as const) {
    const value = input.integer(option);
    if (value !== null) given[field] = value;
  }
  if (input.flag('protected') || input.flag('unprotected')) given.protected = input.flag('protected');
  const visibility = visibilityOf(input);
  if (visibility !== null) given.visibility = visibility;
  return given;
}

export const commands: readonly Command[] = [
  {
    words: 'image list',
    summary: 'List available images',
    options: [
      ...visibilityOptions,
      { flags: '--all', description: 'all images that may be seen' },
      { flags: '--property <key=value>', description: 'only images with this property', repeat: true },
      { flags: '--name <name>', description: 'only images of this name' },
      { flags: '--status <status>', description: 'only images of this status' },
      { flags: '--tag <tag>', description: 'only images with this tag, can be repeated', repeat: true },
      { flags: '--project <project>', description: 'only images of this project' },
      projectDomain,
      {
        flags: '--member-status <member-status>',
        description: 'only shared images of this status',
        choices: ['accepted', 'pending', 'rejected', 'all'],
      },
      { flags: '--hidden', description: 'only hidden images' },
      { flags: '--long', description: 'list additional fields' },
      { flags: '--sort <key[:direction]>', description: 'sort by these keys (name:asc)' },
      { flags: '--page-size <size>', description: 'images in one answer of the cloud', kind: 'integer' },
      { flags: '--limit <num-images>', description: 'the largest number of images', kind: 'integer' },
      { flags: '--marker <image>', description: 'the last image of the previous page' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const service = await cloud.service('image');
      const marker = input.text('marker');
      const project = input.text('project');
      const limit = input.integer('limit');
      const all = await service.all('/images', 'images', {
        visibility: input.flag('all') ? 'all' : visibilityOf(input),
        name: input.text('name'),
        status: input.text('status'),
        tag: input.texts('tag')[0] ?? null,
        member_status: input.text('member-status'),
        owner: project === null ? null : await idInDomain(cloud, input, 'project', project),
        os_hidden: input.flag('hidden') ? true : null,
        limit: input.integer('page-size') ?? limit,
        marker: marker === null ? null : await findId(cloud, 'image', marker),
      });
      const wanted = Object.entries(keyValues(input.texts('property'), 'property'));
      const tags = input.texts('tag');
      const images = sortImages(
        all
          .slice(0, limit ?? all.length)
          .filter((image) => wanted.every(([key, value]) => image[key] === value))
          .filter((image) => tags.every((tag) => Array.isArray(image.tags) && image.tags.includes(tag))),
        input.text('sort') ?? 'name:asc',
      );
      const columns = input.flag('long')
        ? ([
            ['ID', 'id'],
            ['Name', 'name'],
            ['Disk Format', 'disk_format'],
            ['Container Format', 'container_format'],
            ['Size', 'size'],
            ['Checksum', 'checksum'],
            ['Status', 'status'],
            ['Visibility', 'visibility'],
            ['Protected', 'protected'],
            ['Project', 'owner'],
            ['Tags', 'tags'],
          ] as const)
        : ([
            ['ID', 'id'],
            ['Name', 'name'],
            ['Status', 'status'],
          ] as const);
      return {
        columns: columns.map(([title]) => title),
        rows: images.map((image) =>
          columns.map(([, key]) => (key === 'tags' ? listOf(Array.isArray(image.tags) ? image.tags : []) : (image[key] ?? null))),
        ),
      };
    },
  },
  {
    words: 'image show',
    summary: 'Display image details',
    arguments: ['<image>'],
    options: [{ flags: '--human-readable', description: 'the size as people write it' }],
    output: 'show',
    run: async (cloud, input) => {
      const image = await find(cloud, 'image', input.argument('image'));
      return imageFields(input.flag('human-readable') ? { ...image, size: readableSize(image) } : image);
    },
  },
  {
    words: 'image create',
    summary: 'Create/upload an image',
    arguments: ['<image-name>'],
    options: [
      { flags: '--id <id>', description: 'its id; chosen by the cloud by default' },
      { flags: '--file <file>', description: 'upload this file' },
      ...changeable,
    ],
    output: 'show',
    run: async (cloud, input) => {
      const given = { container_format: 'bare', disk_format: 'raw', ...attributesOf(input) };
      const file = input.text('file');
      const size = file === null ? null : await sizeOf(file);
      const service = await cloud.service('image');
      const tags = input.texts('tag');
      const id = input.text('id');
      const project = input.text('project');
      const owner = project === null ? null : await idInDomain(cloud, input, 'project', project);
      const made = await service.post('/images', {
        name: input.argument('image-name'),
        ...given,
        ...(id === null ? {} : { id }),
        ...(owner === null ? {} : { owner }),
        ...(tags.length === 0 ? {} : { tags: [...tags] }),
      });
      const image = textAt(made, 'id');
      if (file !== null && size !== null) await upload(cloud, image, file, size);
      return imageFields(await find(cloud, 'image', image));
    },
  },
  {
    words: 'image save',
    summary: 'Save an image locally',
    arguments: ['<image>'],
    options: [{ flags: '--file <file>', description: 'where to; standard output by default' }],
    output: 'none',
    run: async (cloud, input) => {
      const id = await findId(cloud, 'image', input.argument('image'));
      const data = await (await cloud.service('image')).download(`/images/${id}/file`);
      const file = input.text('file');
      await pipeline(data, file === null ? process.stdout : createWriteStream(file), { end: file !== null });
    },
  },
  {
    words: 'image set',
    summary: 'Set image properties',
    arguments: ['<image>'],
    options: [
      { flags: '--name <name>', description: 'new name' },
      ...changeable,
      ...namedProperties.map((name) => ({ flags: `--${name} <${name}>`, description: `property ${name.replace('-', '_')}` })),

      { flags: '--hidden', description: 'leave it out of lists' },
      { flags: '--unhidden', description: 'show it in lists' },
      { flags: '--activate', description: 'let its data be read again' },
      { flags: '--deactivate', description: 'let nobody but admins read its data' },
      ...memberships.map(([flag, status]) => ({ flags: `--${flag}`, description: `as a member of a shared image: ${status}` })),
    ],
    output: 'none',
    run: async (cloud, input) => {
      const changes = attributesOf(input);
      for (const name of namedProperties) {
        const value = input.text(name);
        if (value !== null) changes[name.replace('-', '_')] = value;
      }
      if (oneOf(input, ['hidden', 'unhidden']) !== null) changes.os_hidden = input.flag('hidden');
      const activation = oneOf(input, ['activate', 'deactivate']);
      const membership = oneOf(
        input,
        memberships.map(([flag]) => flag),
      );
      const image = await find(cloud, 'image', input.argument('image'));
      const service = await cloud.service('image');
      const given = input.text('project');
      const project = given === null ? null : await idInDomain(cloud, input, 'project', given);
      if (activation !== null)
        await service.post(`/images/${textAt(image, 'id')}/actions/${activation === 'activate' ? 're' : 'de'}activate`);
      if (membership !== null) {
        const member = project ?? (await cloud.token()).projectId ?? '';
        const status = memberships.find(([flag]) => flag === membership)?.[1] ?? '';
        await service.put(`/images/${textAt(image, 'id')}/members/${member}`, { status });
      } else if (project !== null) changes.owner = project;
      const name = input.text('name');
      if (name !== null) changes.name = name;
      const tags = input.texts('tag');
      if (tags.length > 0) changes.tags = [...new Set([...(Array.isArray(image.tags) ? image.tags : []), ...tags])];
      await patch(
        cloud,
        textAt(image, 'id'),
        Object.entries(changes).map(([key, value]) => ({ op: key in image ? 'replace' : 'add', path: pointer(key), value })),
      );
    },
  },
  {
    words: 'image unset',
    summary: 'Unset image tags and properties',
    arguments: ['<image>'],
    options: [
      { flags: '--tag <tag>', description: 'tag to remove, can be repeated', repeat: true },
      { flags: '--property <key>', description: 'property to remove, can be repeated', repeat: true },
    ],
    output: 'none',
    run: async (cloud, input) => {
      const id = await findId(cloud, 'image', input.argument('image'));
      const service = await cloud.service('image');
      for (const tag of input.texts('tag')) await service.delete(`/images/${id}/tags/${encodeURIComponent(tag)}`);
      await patch(
        cloud,
        id,
        input.texts('property').map((key) => ({ op: 'remove', path: pointer(key) })),
      );
    },
  },
  {
    words: 'image delete',
    summary: 'Delete image(s)',
    arguments: ['<image...>'],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const service = await cloud.service('image');
      await forEach(input.arguments('image'), terminal, async (given) => {
        await service.delete(`/images/${await findId(cloud, 'image', given)}`);
      });
    },
  },
  ...imageMembers,
];

/** 1500000 → `1.5M`: thousands, one digit. An image without data has 0. */
function readableSize(image: JsonObject): string {
  let size = numberAt(image, 'size') ?? 0;
  let suffix = '';
  for (const larger of ['K', 'M', 'G', 'T', 'P']) {
    if (size < 1_000) break;
    size /= 1_000;
    suffix = larger;
  }
  return `${size.toFixed(1).replace(/\.0$/, '')}${suffix}`;
}

/** A key as a JSON pointer (RFC 6901). */
const pointer = (key: string): string => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

async function patch(cloud: Cloud, id: string, operations: readonly { readonly [key: string]: Json }[]): Promise<void> {
  if (operations.length === 0) return;
  const service = (await cloud.service('image')).with({ 'content-type': 'application/openstack-images-v2.1-json-patch' });
  await service.patch(`/images/${id}`, [...operations]);
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    throw new CommandError(`Can't open '${file}': ${error instanceof Error ? error.message : String(error)}`, {
      exitCode: exitCodes.usage,
    });
  }
}

/** Streams the file: an image is larger than memory. */
async function upload(cloud: Cloud, id: string, file: string, size: number): Promise<void> {
  const service = (await cloud.service('image')).with({ 'content-type': 'application/octet-stream', 'content-length': String(size) });
  await service.put(`/images/${id}/file`, createReadStream(file));
}

function sortImages(images: readonly JsonObject[], sort: string): readonly JsonObject[] {
  const keys = sort.split(',').map((part) => {
    const [key = '', direction = 'asc'] = part.split(':');
    return { key, sign: direction === 'desc' ? -1 : 1 };
  });
  return images.toSorted((a, b) => {
    for (const { key, sign } of keys) {
      const [left, right] = [textAt(a, key), textAt(b, key)];
      if (left !== right) return (left < right ? -1 : 1) * sign;
    }
    return 0;
  });
}
