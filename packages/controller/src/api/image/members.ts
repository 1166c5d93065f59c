import { ImageMember, ImageMemberCreate, ImageMemberList, ImageMemberUpdate } from '@godwit/contract/schemas/image/images';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import type { ResourceTables } from '../../store/resource-tables.ts';
import { secondTime } from '../time-format.ts';
import { assertMayChange, findImage } from './image-access.ts';
import type { ImageRequest, ImageRoute } from './image-context.ts';

/** Projects that a shared image is shared with. The owner adds and removes them; each accepts or rejects for itself. */
export const memberRoutes: readonly ImageRoute[] = [
  {
    method: 'GET',
    path: '/v2/images/:image/members',
    response: ImageMemberList,
    handle: async ({ context, caller, params }: ImageRequest) => {
      const image = await findImage(context.db, caller, params['image'] ?? '');
      const rows = await context.db
        .selectFrom('image_member')
        .selectAll()
        .where('image_id', '=', image.id)
        .$if(!caller.isAdmin && image.owner !== caller.projectId, (list) => list.where('project_id', '=', caller.projectId))
        .orderBy('created_at')
        .execute();
      return { status: 200, body: { members: rows.map(view), schema: '/v2/schemas/members' } };
    },
  },
  {
    method: 'POST',
    path: '/v2/images/:image/members',
    body: ImageMemberCreate,
    response: ImageMember,
    handle: async ({ context, caller, params, body }: ImageRequest<{ member: string }>) => {
      const image = await findImage(context.db, caller, params['image'] ?? '');
      assertMayChange(caller, image);
      if (image.visibility !== 'shared')
        throw new GodwitError('Forbidden', `Only shared images have members, image ${image.id} is ${image.visibility}.`);
      const row = await context.db
        .insertInto('image_member')
        .values({ image_id: image.id, project_id: body.member })
        .onConflict((conflict) => conflict.doNothing())
        .returningAll()
        .executeTakeFirst();
      if (row === undefined)
        throw new GodwitError('Conflict', `The target member ${body.member} is already associated with image ${image.id}.`);
      return { status: 200, body: view(row) };
    },
  },
  {
    method: 'GET',
    path: '/v2/images/:image/members/:member',
    response: ImageMember,
    handle: async (request: ImageRequest) => ({ status: 200, body: view((await member(request)).row) }),
  },
  {
    method: 'PUT',
    path: '/v2/images/:image/members/:member',
    body: ImageMemberUpdate,
    response: ImageMember,
    handle: async (request: ImageRequest<{ status: 'pending' | 'accepted' | 'rejected' }>) => {
      const { row } = await member(request);
      if (!request.caller.isAdmin && row.project_id !== request.caller.projectId)
        throw new GodwitError('Forbidden', 'Only the member itself may change its status.');
      const updated = await request.context.db
        .updateTable('image_member')
        .set({ status: request.body.status, updated_at: sql`now()` })
        .where('image_id', '=', row.image_id)
        .where('project_id', '=', row.project_id)
        .returningAll()
        .executeTakeFirstOrThrow();
      return { status: 200, body: view(updated) };
    },
  },
  {
    method: 'DELETE',
    path: '/v2/images/:image/members/:member',
    response: null,
    handle: async (request: ImageRequest) => {
      const { image, row } = await member(request);
      assertMayChange(request.caller, image);
      await request.context.db
        .deleteFrom('image_member')
        .where('image_id', '=', row.image_id)
        .where('project_id', '=', row.project_id)
        .execute();
      return { status: 204 };
    },
  },
];

type MemberRow = Selectable<ResourceTables['image_member']>;

async function member({ context, caller, params }: ImageRequest<unknown>) {
  const image = await findImage(context.db, caller, params['image'] ?? '');
  const id = params['member'] ?? '';
  const row = await context.db
    .selectFrom('image_member')
    .selectAll()
    .where('image_id', '=', image.id)
    .where('project_id', '=', id)
    .executeTakeFirst();
  const visible = caller.isAdmin || image.owner === caller.projectId || id === caller.projectId;
  if (row === undefined || !visible) throw new GodwitError('NotFound', `${id} not found in the member list of the image ${image.id}.`);
  return { image, row };
}

const view = (row: MemberRow) => ({
  image_id: row.image_id,
  member_id: row.project_id,
  status: row.status,
  created_at: secondTime(row.created_at),
  updated_at: secondTime(row.updated_at),
  schema: '/v2/schemas/member',
});
