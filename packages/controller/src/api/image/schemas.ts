import { containerFormatNames, diskFormatNames, imageStatuses, imageVisibilities } from '@godwit/contract/schemas/image/images';
import type { ImageRoute } from './image-context.ts';

/** The schemas that the service publishes of itself; clients that build their objects from them ask for these. */
const text = { type: ['null', 'string'] } as const;
const readOnly = { readOnly: true } as const;
const uuid = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$';
const imageSchema = {
  name: 'image',
  properties: {
    id: { type: 'string', pattern: uuid, description: 'An identifier for the image' },
    name: { ...text, maxLength: 255, description: 'Descriptive name for the image' },
    status: { type: 'string', enum: imageStatuses, ...readOnly, description: 'Status of the image' },
    visibility: { type: 'string', enum: imageVisibilities, description: 'Scope of image accessibility' },
    protected: { type: 'boolean', description: 'If true, the image will not be deletable.' },
    os_hidden: { type: 'boolean', description: 'If true, the image will not appear in the default image list.' },
    owner: { ...text, maxLength: 255, description: 'Owner of the image' },
    checksum: { ...text, maxLength: 32, ...readOnly, description: 'md5 of the image data' },
    os_hash_algo: { ...text, maxLength: 64, ...readOnly, description: 'Algorithm of os_hash_value' },
    os_hash_value: { ...text, maxLength: 128, ...readOnly, description: 'Hash of the image data' },
    size: { type: ['null', 'integer'], ...readOnly, description: 'Size of the image data in bytes' },
    virtual_size: { type: ['null', 'integer'], ...readOnly, description: 'Virtual size of the image in bytes' },
    container_format: { ...text, enum: [null, ...containerFormatNames], description: 'Format of the container' },
    disk_format: { ...text, enum: [null, ...diskFormatNames], description: 'Format of the disk' },
    created_at: { type: 'string', ...readOnly, description: 'When the image was made' },
    updated_at: { type: 'string', ...readOnly, description: 'When the image last changed' },
    tags: { type: 'array', items: { type: 'string', maxLength: 255 }, description: 'List of strings related to the image' },
    min_ram: { type: 'integer', description: 'Amount of RAM (in MB) required to boot the image' },
    min_disk: { type: 'integer', description: 'Amount of disk space (in GB) required to boot the image' },
    self: { type: 'string', ...readOnly, description: 'URL of the image' },
    file: { type: 'string', ...readOnly, description: 'URL of the image data' },
    schema: { type: 'string', ...readOnly, description: 'URL of this schema' },
    kernel_id: { ...text, pattern: uuid, is_base: false, description: 'Id of the image that holds the kernel to boot' },
    ramdisk_id: { ...text, pattern: uuid, is_base: false, description: 'Id of the image that holds the ramdisk to boot' },
    os_command_line: { type: 'string', is_base: false, description: 'Command line of the kernel' },
  },
  additionalProperties: { type: 'string' },
  links: [
    { rel: 'self', href: '{self}' },
    { rel: 'enclosure', href: '{file}' },
    { rel: 'describedby', href: '{schema}' },
  ],
};
const memberSchema = {
  name: 'member',
  properties: {
    image_id: { type: 'string', pattern: uuid },
    member_id: { type: 'string' },
    status: { type: 'string', enum: ['pending', 'accepted', 'rejected'] },
    created_at: { type: 'string' },
    updated_at: { type: 'string' },
    schema: { ...readOnly, type: 'string' },
  },
};
const listOf = (name: string, items: object) => ({
  name,
  properties: { [name]: { type: 'array', items }, first: { type: 'string' }, next: { type: 'string' }, schema: { type: 'string' } },
  links: [
    { rel: 'first', href: '{first}' },
    { rel: 'next', href: '{next}' },
    { rel: 'describedby', href: '{schema}' },
  ],
});

const published: Readonly<Record<string, object>> = {
  image: imageSchema,
  images: listOf('images', imageSchema),
  member: memberSchema,
  members: listOf('members', memberSchema),
};

export const schemaRoutes: readonly ImageRoute[] = [
  ...Object.entries(published).map(
    ([name, body]): ImageRoute => ({
      method: 'GET',
      path: `/v2/schemas/${name}`,
      response: { type: 'object' },
      handle: async () => ({ status: 200, body }),
    }),
  ),
  // No import methods: clients upload.
  {
    method: 'GET',
    path: '/v2/info/import',
    response: { type: 'object' },
    handle: async () => ({
      status: 200,
      body: { 'import-methods': { description: 'Import methods available.', type: 'array', value: [] } },
    }),
  },
];
