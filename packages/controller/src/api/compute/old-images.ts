import { always } from '@godwit/contract/schemas/closed';
import {
  OldImageAnswer,
  OldImageMetadata,
  OldImageMetadataAnswer,
  OldImageMetadataItem,
  OldImageMetadataItemAnswer,
  OldImagesAnswer,
  OldImagesDetailAnswer,
} from '@godwit/contract/schemas/compute/proxies';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { demandImageMetadata } from '../../quotas/demand-quota.ts';
import { assertReferences } from '../image/assert-references.ts';
import { deleteImage } from '../image/delete-image.ts';
import { assertMayChange, findImage, visibleImages } from '../image/image-access.ts';
import type { ImageRow } from '../image/image-view.ts';
import { count, one, page, time } from '../query.ts';
import { secondTime } from '../time-format.ts';
import { nextLinks } from './paging.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid } from './server-rows.ts';

/** The image service has them since; of their metadata a little longer. */
const max = 35;
const maxOfMetadata = 38;

const statusWords: Readonly<Record<ImageRow['status'], string>> = {
  active: 'ACTIVE',
  queued: 'SAVING',
  saving: 'SAVING',
  deleted: 'DELETED',
  killed: 'ERROR',
  deactivated: 'UNKNOWN',
};
const progressOf: Readonly<Record<ImageRow['status'], number>> = {
  active: 100,
  queued: 25,
  saving: 50,
  deleted: 0,
  killed: 0,
  deactivated: 0,
};

const summary = (request: ComputeRequest<never>, row: ImageRow) => {
  const { origin } = new URL(request.base);
  return {
    id: row.id,
    name: row.name,
    links: [
      { rel: 'self', href: `${request.base}/images/${row.id}` },
      { rel: 'bookmark', href: `${request.base.replace(/\/v2(\.1)?$/, '')}/images/${row.id}` },
      { rel: 'alternate', type: 'application/vnd.openstack.image', href: `${origin}/image/v2/images/${row.id}` },
    ],
  };
};

function detail(request: ComputeRequest<never>, row: ImageRow): object {
  const server = row.properties.instance_uuid;
  const bookmark = request.base.replace(/\/v2(\.1)?$/, '');
  return {
    ...summary(request, row),
    created: secondTime(row.created_at),
    updated: secondTime(row.updated_at),
    status: statusWords[row.status],
    progress: progressOf[row.status],
    minDisk: row.min_disk_gib,
    minRam: row.min_ram_mib,
    metadata: row.properties,
    'OS-EXT-IMG-SIZE:size': row.size_bytes ?? 0,
    ...(server === undefined
      ? {}
      : {
          server: {
            id: server,
            links: [
              { rel: 'self', href: `${request.base}/servers/${server}` },
              { rel: 'bookmark', href: `${bookmark}/servers/${server}` },
            ],
          },
        }),
  };
}

async function list(request: ComputeRequest<never>): Promise<{ readonly rows: readonly ImageRow[]; readonly limit: number }> {
  const { query, caller, context } = request;
  const { limit, marker } = page(query);
  let rows = context.db
    .selectFrom('image')
    .selectAll()
    .where('deleted_at', 'is', null)
    .where('hidden', '=', false)
    .where(visibleImages(caller));
  const name = one(query, 'name');
  if (name !== null) rows = rows.where('name', '=', name);
  const status = one(query, 'status')?.toUpperCase();
  if (status !== undefined) {
    const wanted = (Object.keys(statusWords) as ImageRow['status'][]).filter((word) => statusWords[word] === status);
    rows = rows.where(sql<boolean>`status = any(${wanted}::text[])`);
  }
  const since = time(query, 'changes-since');
  if (since !== null) rows = rows.where('updated_at', '>=', since);
  const server = one(query, 'server');
  if (server !== null) rows = rows.where(sql<boolean>`properties ->> 'instance_uuid' = ${server.split('/').at(-1) ?? ''}`);
  const type = one(query, 'type');
  if (type !== null) rows = rows.where(sql<boolean>`properties ->> 'image_type' = ${type}`);
  const [minRam, minDisk] = [count(query, 'minRam'), count(query, 'minDisk')];
  if (minRam !== null) rows = rows.where('min_ram_mib', '>=', minRam);
  if (minDisk !== null) rows = rows.where('min_disk_gib', '>=', minDisk);
  for (const [key, values] of query)
    if (key.startsWith('property-')) rows = rows.where(sql<boolean>`properties ->> ${key.slice(9)} = ${values.at(-1) ?? ''}`);
  if (marker !== null) {
    const known = isUuid(marker) ? await rows.where('id', '=', marker).executeTakeFirst() : undefined;
    if (known === undefined) throw new GodwitError('BadRequest', `marker [${marker.slice(0, 120)}] not found`);
    rows = rows.where(sql<boolean>`(created_at, id) < (select created_at, id from image where id = ${marker}::uuid)`);
  }
  return { rows: limit === 0 ? [] : await rows.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute(), limit };
}

const listed =
  (view: (request: ComputeRequest<never>, row: ImageRow) => object) =>
  async (request: ComputeRequest<never>): Promise<Answer> => {
    const { rows, limit } = await list(request);
    const images = rows.map((row) => view(request, row));
    return { status: 200, body: { images, ...nextLinks(request, 'images', rows, limit, rows.at(-1)?.id) } };
  };

async function imageOf(request: ComputeRequest<never>): Promise<ImageRow> {
  const id = param(request, 'image');
  try {
    return await findImage(request.context.db, request.caller, id);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NotFound')
      throw new GodwitError('NotFound', 'Image not found.', {}, { cause: error });
    throw error;
  }
}

type Properties = Readonly<Record<string, string>>;

async function change(request: ComputeRequest<never>, make: (before: Properties) => Properties): Promise<Properties> {
  const { id } = await imageOf(request);
  return request.context.db.transaction().execute(async (tx) => {
    const image = await tx
      .selectFrom('image')
      .selectAll()
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .forUpdate()
      .executeTakeFirst();
    if (image === undefined) throw new GodwitError('NotFound', 'Image not found.');
    assertMayChange(request.caller, image);
    const after = make(image.properties);
    assertReferences(after);
    await demandImageMetadata(tx, request.caller.projectId, Object.keys(after).length);
    await tx
      .updateTable('image')
      .set({ properties: JSON.stringify(after), updated_at: sql`now()` })
      .where('id', '=', id)
      .execute();
    return after;
  });
}

function itemOf(request: ComputeRequest<never>, properties: Properties): string {
  const key = param(request, 'key');
  const value = Object.hasOwn(properties, key) ? properties[key] : undefined;
  if (value === undefined) throw new GodwitError('NotFound', 'Metadata item was not found');
  return value;
}

const metadata = '/images/:image/metadata';

export const oldImageRoutes: readonly ComputeRoute[] = [
  route('GET', '/images', { max, response: always(OldImagesAnswer), handle: listed(summary) }),
  route('GET', '/images/detail', { max, response: always(OldImagesDetailAnswer), handle: listed(detail) }),
  route('GET', '/images/:image', {
    max,
    response: always(OldImageAnswer),
    handle: async (request) => ({ status: 200, body: { image: detail(request, await imageOf(request)) } }),
  }),
  route('DELETE', '/images/:image', {
    max,
    response: () => null,
    handle: async (request) => {
      // Its data is taken away by the image service's own sweep.
      await deleteImage(request.context.db, request.caller, await imageOf(request));
      return { status: 204 };
    },
  }),
  route('GET', metadata, {
    max: maxOfMetadata,
    response: always(OldImageMetadataAnswer),
    handle: async (request) => ({ status: 200, body: { metadata: (await imageOf(request)).properties } }),
  }),
  route('POST', metadata, {
    max: maxOfMetadata,
    body: always(OldImageMetadata),
    response: always(OldImageMetadataAnswer),
    handle: async (request: ComputeRequest<OldImageMetadata>) => ({
      status: 200,
      body: { metadata: await change(request as ComputeRequest<never>, (before) => ({ ...before, ...request.body.metadata })) },
    }),
  }),
  route('PUT', metadata, {
    max: maxOfMetadata,
    body: always(OldImageMetadata),
    response: always(OldImageMetadataAnswer),
    handle: async (request: ComputeRequest<OldImageMetadata>) => ({
      status: 200,
      body: { metadata: await change(request as ComputeRequest<never>, () => request.body.metadata) },
    }),
  }),
  route('GET', `${metadata}/:key`, {
    max: maxOfMetadata,
    response: always(OldImageMetadataItemAnswer),
    handle: async (request) => ({
      status: 200,
      body: { meta: { [param(request, 'key')]: itemOf(request, (await imageOf(request)).properties) } },
    }),
  }),
  route('PUT', `${metadata}/:key`, {
    max: maxOfMetadata,
    body: always(OldImageMetadataItem),
    response: always(OldImageMetadataItemAnswer),
    handle: async (request: ComputeRequest<OldImageMetadataItem>) => {
      const { meta } = request.body;
      if (!Object.hasOwn(meta, param(request as ComputeRequest<never>, 'key')))
        throw new GodwitError('BadRequest', 'Request body and URI mismatch');
      await change(request as ComputeRequest<never>, (before) => ({ ...before, ...meta }));
      return { status: 200, body: { meta } };
    },
  }),
  route('DELETE', `${metadata}/:key`, {
    max: maxOfMetadata,
    response: () => null,
    handle: async (request) => {
      await change(request, (before) => {
        itemOf(request, before);
        return Object.fromEntries(Object.entries(before).filter(([key]) => key !== param(request, 'key')));
      });
      return { status: 204 };
    },
  }),
];
