import { always } from '@godwit/contract/schemas/closed';
import { MetadataBody, MetadataItemBody, Tag, TagsBody } from '@godwit/contract/schemas/compute/server-requests';
import { MetadataAnswer, MetadataItemAnswer, TagsAnswer } from '@godwit/contract/schemas/compute/server-views';
import { GodwitError } from '@godwit/domain/errors';
import { demandMetadata } from '../../quotas/demand-quota.ts';
import { tellServer } from '../../workflows/record/server-event.ts';
import { assertBody } from '../json-body.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { serverFor } from './server-rows.ts';

type Metadata = Readonly<Record<string, string>>;

/** Changes the metadata in one step, so that two changes at once do not undo each other. */
async function change(request: ComputeRequest<never>, make: (before: Metadata) => Metadata): Promise<Metadata> {
  const row = await serverFor(request, 'metadata');
  return request.context.db.transaction().execute(async (tx) => {
    const { metadata } = await tx.selectFrom('server').select('metadata').where('id', '=', row.id).forUpdate().executeTakeFirstOrThrow();
    const after = make(metadata);
    await demandMetadata(tx, row.project_id, Object.keys(after).length);
    await tx
      .updateTable('server')
      .set({ metadata: JSON.stringify(after), updated_at: new Date() })
      .where('id', '=', row.id)
      .execute();
    await tellServer(tx, row.id);
    return after;
  });
}

function itemOf(request: ComputeRequest<never>, metadata: Metadata): string {
  const key = param(request, 'key');
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (value === undefined) throw new GodwitError('NotFound', 'Metadata item was not found');
  return value;
}

export const metadataRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/metadata', {
    response: always(MetadataAnswer),
    handle: async (request) => ({ status: 200, body: { metadata: (await serverFor(request, 'show')).metadata } }),
  }),
  route('POST', '/servers/:server/metadata', {
    body: always(MetadataBody),
    response: always(MetadataAnswer),
    handle: async (request: ComputeRequest<MetadataBody>) => ({
      status: 200,
      body: { metadata: await change(request as ComputeRequest<never>, (before) => ({ ...before, ...request.body.metadata })) },
    }),
  }),
  route('PUT', '/servers/:server/metadata', {
    body: always(MetadataBody),
    response: always(MetadataAnswer),
    handle: async (request: ComputeRequest<MetadataBody>) => ({
      status: 200,
      body: { metadata: await change(request as ComputeRequest<never>, () => request.body.metadata) },
    }),
  }),
  route('GET', '/servers/:server/metadata/:key', {
    response: always(MetadataItemAnswer),
    handle: async (request) => ({
      status: 200,
      body: { meta: { [param(request, 'key')]: itemOf(request, (await serverFor(request, 'show')).metadata) } },
    }),
  }),
  route('PUT', '/servers/:server/metadata/:key', {
    body: always(MetadataItemBody),
    response: always(MetadataItemAnswer),
    handle: async (request: ComputeRequest<MetadataItemBody>) => {
      const { meta } = request.body;
      if (!Object.hasOwn(meta, param(request as ComputeRequest<never>, 'key')))
        throw new GodwitError('BadRequest', 'Request body and URI mismatch');
      await change(request as ComputeRequest<never>, (before) => ({ ...before, ...meta }));
      return { status: 200, body: { meta } };
    },
  }),
  route('DELETE', '/servers/:server/metadata/:key', {
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

/** As `change`, for tags. */
async function changeTags(
  request: ComputeRequest<never>,
  make: (before: readonly string[]) => readonly string[],
): Promise<readonly string[]> {
  const row = await serverFor(request, 'tags');
  return request.context.db.transaction().execute(async (tx) => {
    const { tags } = await tx.selectFrom('server').select('tags').where('id', '=', row.id).forUpdate().executeTakeFirstOrThrow();
    const after = [...new Set(make(tags))];
    if (after.length > 50) throw new GodwitError('BadRequest', 'The number of tags exceeded the per-server limit 50');
    await tx.updateTable('server').set({ tags: after, updated_at: new Date() }).where('id', '=', row.id).execute();
    await tellServer(tx, row.id);
    return after;
  });
}

const missingTag = (tag: string): GodwitError => new GodwitError('NotFound', `Server has no tag '${tag}'`);

export const tagRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/tags', {
    min: 26,
    response: always(TagsAnswer),
    handle: async (request) => ({ status: 200, body: { tags: (await serverFor(request, 'show')).tags } }),
  }),
  route('PUT', '/servers/:server/tags', {
    min: 26,
    body: always(TagsBody),
    response: always(TagsAnswer),
    handle: async (request: ComputeRequest<TagsBody>) => ({
      status: 200,
      body: { tags: await changeTags(request as ComputeRequest<never>, () => request.body.tags) },
    }),
  }),
  route('DELETE', '/servers/:server/tags', {
    min: 26,
    response: () => null,
    handle: async (request) => {
      await changeTags(request, () => []);
      return { status: 204 };
    },
  }),
  route('GET', '/servers/:server/tags/:tag', {
    min: 26,
    response: () => null,
    handle: async (request) => {
      const tag = param(request, 'tag');
      if (!(await serverFor(request, 'show')).tags.includes(tag)) throw missingTag(tag);
      return { status: 204 };
    },
  }),
  route('PUT', '/servers/:server/tags/:tag', {
    min: 26,
    response: () => null,
    handle: async (request) => {
      const tag = param(request, 'tag');
      assertBody(Tag, tag);
      let isNew = false;
      await changeTags(request, (before) => {
        isNew = !before.includes(tag);
        return [...before, tag];
      });
      return { status: isNew ? 201 : 204, ...(isNew ? { headers: { location: `${request.base}${request.path}` } } : {}) };
    },
  }),
  route('DELETE', '/servers/:server/tags/:tag', {
    min: 26,
    response: () => null,
    handle: async (request) => {
      const tag = param(request, 'tag');
      await changeTags(request, (before) => {
        if (!before.includes(tag)) throw missingTag(tag);
        return before.filter((other) => other !== tag);
      });
      return { status: 204 };
    },
  }),
];
