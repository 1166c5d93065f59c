import type { QmpClient } from './qmp-client.ts';

/**
 * QEMU's capability (9.0 and later) to write each page to its own place in a file: a guest that runs meanwhile makes the file no longer, and all but the last round is written while it runs. What custody rests
 * on is in custody/conformance/memory-behaviours.ts.
 */
export const savesInPlace = 'mapped-ram';

/** QEMU's most, milliseconds: the guest is stopped for whatever is left after the first round. Nobody waits for it at the other end. */
const stopsAtOnceMs = 2_000_000;

/** QMP's name of the file, as `migrate` and `migrate-incoming` take it. */
export const memoryChannel = (path: string): Readonly<Record<string, unknown>> => ({
  channels: [{ 'channel-type': 'main', addr: { transport: 'file', filename: path, offset: 0 } }],
});

const capabilities = (on: boolean, others: Readonly<Record<string, boolean>>) => ({
  capabilities: Object.entries({ [savesInPlace]: on, ...others }).map(([capability, state]) => ({ capability, state })),
});

/**
 * Everything before `migrate`, which is custody's. A file answers nothing, and is not waited for. What a move before has left goes first: with encryption or compression set, QEMU refuses to write in place, and
 * with writing in place set, every other parameter.
 */
export async function setUpSaving(qmp: QmpClient): Promise<void> {
  await qmp.execute('migrate-set-parameters', {
    'tls-creds': '',
    'multifd-compression': 'none',
    'max-bandwidth': 0,
    'downtime-limit': stopsAtOnceMs,
  });
  await qmp.execute(
    'migrate-set-capabilities',
    capabilities(true, {
      events: true,
      multifd: false,
      'return-path': false,
      'pause-before-switchover': false,
      'auto-converge': false,
    }),
  );
}

/** Begins to load a memory. As for an arriving guest, disks are opened for writing only when it runs. */
export async function loadMemory(qmp: QmpClient, path: string): Promise<void> {
  await qmp.execute('migrate-set-capabilities', capabilities(true, { events: true, 'late-block-activate': true }));
  await qmp.execute('migrate-incoming', memoryChannel(path));
}

/** A QEMU keeps what was set: a move that comes next is a stream, and to no file. */
export async function setUpForMoves(qmp: QmpClient): Promise<void> {
  await qmp.execute('migrate-set-capabilities', capabilities(false, {}));
}
