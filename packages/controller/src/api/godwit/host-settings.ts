import { HostSettings } from '@godwit/contract/schemas/godwit/host-settings';
import { GodwitError } from '@godwit/domain/errors';
import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import { assertBody } from '../json-body.ts';
import { requireAdmin } from './require-admin.ts';

type Settings = { readonly restartGuestsAfterBoot?: boolean; readonly migrationBandwidthBytes?: number | null };

/**
 * `PATCH /hosts/{name}`: what an operator sets of one host. `restartGuestsAfterBoot`: guests that ran when it lost its power are started again, each by a new grant; without it they
 * are SHUTOFF. `migrationBandwidthBytes`: the most that a migration over this host's link may use, those under way included. For admins.
 */
export function hostSettingRoutes(app: FastifyInstance, { db, operations }: Pick<AppContext, 'db' | 'operations'>): void {
  app.patch('/hosts/:name', async (request) => {
    await requireAdmin(db, request);
    const { name } = request.params as { readonly name: string };
    assertBody(HostSettings, request.body);
    const { restartGuestsAfterBoot, migrationBandwidthBytes } = request.body as Settings;
    if (migrationBandwidthBytes !== undefined) await operations.capLink(name, migrationBandwidthBytes);
    const host = await db
      .updateTable('host')
      .set({
        ...(restartGuestsAfterBoot === undefined ? {} : { restart_guests_after_boot: restartGuestsAfterBoot }),
        updated_at: new Date(),
      })
      .where('name', '=', name)
      .where('deleted_at', 'is', null)
      .returning(['id', 'name', 'restart_guests_after_boot', 'migration_bandwidth_bytes'])
      .executeTakeFirst();
    if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${name.slice(0, 255)} could not be found.`);
    return {
      host: {
        id: host.id,
        name: host.name,
        restartGuestsAfterBoot: host.restart_guests_after_boot,
        migrationBandwidthBytes: host.migration_bandwidth_bytes,
      },
    };
  });
}
