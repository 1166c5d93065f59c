import { GodwitError } from '@godwit/domain/errors';
import { recordEvent } from '../events/record-event.ts';
import { type Db, inTransaction } from '../store/database.ts';

/** What an operator switches on a host. Disabled: no new server and no move comes in. Forced down: taken for dead, as evacuate needs it. */
export type HostSwitches = {
  readonly enabled?: boolean;
  /** Why it is disabled; only beside `enabled: false`. */
  readonly reason?: string | null;
  readonly forcedDown?: boolean;
};

/** Writes the switches and tells the event feed, in one transaction. Enabling forgets the reason. Throws NotFound when the host is gone. */
export async function switchHost(db: Db, hostId: string, switches: HostSwitches): Promise<void> {
  await inTransaction(db, async (tx) => {
    const row = await tx
      .updateTable('host')
      .set({
        ...(switches.enabled === undefined
          ? {}
          : { enabled: switches.enabled, disabled_reason: switches.enabled ? null : (switches.reason ?? null) }),
        ...(switches.forcedDown === undefined ? {} : { forced_down: switches.forcedDown }),
        updated_at: new Date(),
      })
      .where('id', '=', hostId)
      .where('deleted_at', 'is', null)
      .returning(['name', 'enabled', 'disabled_reason', 'forced_down', 'reachable'])
      .executeTakeFirst();
    if (row === undefined) throw new GodwitError('NotFound', `Compute host ${hostId} could not be found.`);
    await recordEvent(tx, {
      kind: 'host',
      subjectId: hostId,
      projectId: null,
      data: {
        id: hostId,
        name: row.name,
        enabled: row.enabled,
        disabledReason: row.disabled_reason,
        forcedDown: row.forced_down,
        reachable: row.reachable,
      },
    });
  });
}
