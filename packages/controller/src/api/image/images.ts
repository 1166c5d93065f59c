import { randomUUID } from 'node:crypto';
import { Image, ImageCreate, ImageList, ImagePatch, imageAttributes, imageWritable } from '@godwit/contract/schemas/image/images';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { removeUnusedImageFiles } from '../../images/clear-image-store.ts';
import { nextQuery } from '../query.ts';
import { assertAdmin, assertMember } from '../serve-routes.ts';
import { assertReferences } from './assert-references.ts';
import { deleteImage } from './delete-image.ts';
import { assertMayChange, findImage } from './image-access.ts';
import type { ImageRequest, ImageRoute } from './image-context.ts';
import { applyImagePatch } from './image-patch.ts';
import { imageView } from './image-view.ts';
import { listImages } from './list-images.ts';

const patchTypes = ['application/openstack-images-v2.1-json-patch', 'application/openstack-images-v2.0-json-patch'];
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const imageRoutes: readonly ImageRoute[] = [
  {
    method: 'GET',
    path: '/v2/images',
    response: ImageList,
    handle: async ({ context, caller, query }: ImageRequest) => {
      const { rows, more } = await listImages(context.db, caller, query);
      const first = new URLSearchParams(
        [...query].filter(([key]) => key !== 'marker').flatMap(([key, values]) => values.map((value): [string, string] => [key, value])),
      ).toString();
      const last = rows.at(-1);
      return {
        status: 200,
        body: {
          images: rows.map(imageView),
          schema: '/v2/schemas/images',
          first: first === '' ? '/v2/images' : `/v2/images?${first}`,
          ...(more && last !== undefined ? { next: `/v2/images?${nextQuery(query, last.id)}` } : {}),
        },
      };
    },
  },
  {
    method: 'POST',
    path: '/v2/images',
    body: ImageCreate,
    response: Image,
    handle: async ({ context, caller, body, base }: ImageRequest<ImageCreate>) => {
      assertMember(caller);
      const attributes = Object.fromEntries(
        Object.entries(body).filter(([key]) => key === 'id' || Object.hasOwn(imageWritable, key)),
      ) as ImageCreate;
      const properties: Record<string, string> = {};
      for (const [key, value] of Object.entries(body)) {
        if (Object.hasOwn(attributes, key)) continue;
        if (imageAttributes.includes(key)) throw new GodwitError('Forbidden', `Attribute '${key}' is read-only.`);
        if (key.length > 255 || key === '' || key === '__proto__')
          throw new GodwitError('BadRequest', `Invalid property name: '${key.slice(0, 255)}'`);
        if (typeof value === 'string') properties[key] = value;
      }
      assertReferences(properties);
      if (attributes.visibility === 'public') assertAdmin(caller);
      const owner = attributes.owner === undefined ? caller.projectId : attributes.owner;
      if (owner !== caller.projectId) assertAdmin(caller);
      if (attributes.id !== undefined && !uuid.test(attributes.id))
        throw new GodwitError('BadRequest', `Invalid image id format: ${attributes.id}`);
      const row = await context.db
        .insertInto('image')
        .values({
          id: attributes.id ?? randomUUID(),
          name: attributes.name ?? null,
          owner,
          status: 'queued',
          visibility: attributes.visibility ?? 'shared',
          protected: attributes.protected ?? false,
          hidden: attributes.os_hidden ?? false,
          disk_format: attributes.disk_format ?? null,
          container_format: attributes.container_format ?? null,
          min_disk_gib: attributes.min_disk ?? 0,
          min_ram_mib: attributes.min_ram ?? 0,
          tags: [...new Set(attributes.tags ?? [])],
          properties: JSON.stringify(properties),
        })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) throw new GodwitError('Conflict', `Image ID ${attributes.id} already exists!`);
      return { status: 201, body: imageView(row), headers: { location: `${base}/v2/images/${row.id}` } };
    },
  },
  {
    method: 'GET',
    path: '/v2/images/:image',
    response: Image,
    handle: async ({ context, caller, params }: ImageRequest) => ({
      status: 200,
      body: imageView(await findImage(context.db, caller, params['image'] ?? '')),
    }),
  },
  {
    method: 'PATCH',
    path: '/v2/images/:image',
    body: ImagePatch,
    bodyTypes: patchTypes,
    response: Image,
    handle: async ({ context, caller, params, body, headers }: ImageRequest<ImagePatch>) => {
      const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
      if (!patchTypes.includes(type))
        throw new GodwitError('UnsupportedMediaType', `Unsupported Content-Type ${type.slice(0, 60)}; use ${patchTypes[0]}`);
      const row = await context.db.transaction().execute(async (tx) => {
        const { id } = await findImage(tx, caller, params['image'] ?? '');
        const image = await tx
          .selectFrom('image')
          .selectAll()
          .where('id', '=', id)
          .where('deleted_at', 'is', null)
          .forUpdate()
          .executeTakeFirst();
        if (image === undefined) throw new GodwitError('NotFound', `No image found with ID ${id}`);
        assertMayChange(caller, image);
        const before = {
          name: image.name,
          visibility: image.visibility,
          protected: image.protected,
          os_hidden: image.hidden,
          owner: image.owner,
          container_format: image.container_format,
          disk_format: image.disk_format,
          min_disk: image.min_disk_gib,
          min_ram: image.min_ram_mib,
          tags: image.tags,
        };
        const { attributes: after, properties } = applyImagePatch({ attributes: before, properties: image.properties }, body) as {
          attributes: typeof before;
          properties: Record<string, string>;
        };
        assertReferences(properties);
        if (after.visibility === 'public' && before.visibility !== 'public') assertAdmin(caller);
        if (after.owner !== before.owner) assertAdmin(caller);
        if (image.status !== 'queued' && (after.disk_format !== before.disk_format || after.container_format !== before.container_format)) {
          throw new GodwitError('Forbidden', 'Attribute disk_format or container_format can be only replaced for a queued image.');
        }
        return await tx
          .updateTable('image')
          .set({
            name: after.name,
            visibility: after.visibility,
            protected: after.protected,
            hidden: after.os_hidden,
            owner: after.owner,
            container_format: after.container_format,
            disk_format: after.disk_format,
            min_disk_gib: after.min_disk,
            min_ram_mib: after.min_ram,
            tags: [...new Set(after.tags)],
            properties: JSON.stringify(properties),
            updated_at: sql`now()`,
          })
          .where('id', '=', id)
          .returningAll()
          .executeTakeFirstOrThrow();
      });
      return { status: 200, body: imageView(row) };
    },
  },
  {
    method: 'DELETE',
    path: '/v2/images/:image',
    response: null,
    handle: async ({ context, caller, params }: ImageRequest) => {
      const image = await findImage(context.db, caller, params['image'] ?? '');
      await deleteImage(context.db, caller, image);
      await removeUnusedImageFiles(context.db, context.config.imageDir).catch((error: unknown) =>
        context.log.warn({ err: error }, 'a deleted image kept its data until the next sweep'),
      );
      return { status: 204 };
    },
  },
  ...(['deactivate', 'reactivate'] as const).map(
    (action): ImageRoute => ({
      method: 'POST',
      path: `/v2/images/:image/actions/${action}`,
      response: null,
      handle: async ({ context, caller, params }: ImageRequest) => {
        assertAdmin(caller);
        const image = await findImage(context.db, caller, params['image'] ?? '');
        const to = action === 'deactivate' ? 'deactivated' : 'active';
        const changed = await context.db
          .updateTable('image')
          .set({ status: to, updated_at: sql`now()` })
          .where('id', '=', image.id)
          .where('status', 'in', ['active', 'deactivated'])
          .returning('id')
          .executeTakeFirst();
        if (changed === undefined) throw new GodwitError('Forbidden', `Not allowed to ${action} image in status '${image.status}'`);
        return { status: 204 };
      },
    }),
  ),
  ...(['PUT', 'DELETE'] as const).map(
    (method): ImageRoute => ({
      method,
      path: '/v2/images/:image/tags/:tag',
      response: null,
      handle: async ({ context, caller, params }: ImageRequest) => {
        const image = await findImage(context.db, caller, params['image'] ?? '');
        assertMayChange(caller, image);
        const tag = params['tag'] ?? '';
        if (tag.length > 255) throw new GodwitError('BadRequest', 'A tag has at most 255 characters.');
        if (method === 'DELETE' && !image.tags.includes(tag)) throw new GodwitError('NotFound', `Tag ${tag} not found.`);
        await context.db
          .updateTable('image')
          .set({
            tags: method === 'PUT' ? sql`array(select distinct unnest(array_append(tags, ${tag})))` : sql`array_remove(tags, ${tag})`,
            updated_at: sql`now()`,
          })
          .where('id', '=', image.id)
          .execute();
        return { status: 204 };
      },
    }),
  ),
];
