import { create } from '@bufbuild/protobuf';
import { type AgentEvent, AgentEventSchema } from '@godwit/contract/gen/agent_pb';
import type { HostDriver } from '../drivers/host-driver.ts';
import type { HostEvent, NumberedEvent } from '../drivers/host-events.ts';
import { releaseToWire } from './wire-custody.ts';
import { guestReportToWire } from './wire-guest.ts';
import { migrationReportToWire } from './wire-migration.ts';

/** The watcher takes an agent for unreachable when it has heard nothing for a few of these. */
const heartbeatMs = 1_000;

/**
 * The facts of a host as they happen, until the signal aborts. Starts with everything after `afterSequence` when that is still known here, else with a
 * full report of guests and migrations under the newest sequence. Heartbeats carry the boot id and the newest sequence.
 */
export async function* watch(driver: HostDriver, afterSequence: number, signal: AbortSignal): AsyncIterable<AgentEvent> {
  const queue: AgentEvent[] = [];
  let wake = Promise.withResolvers<void>();
  const push = (event: AgentEvent): void => {
    queue.push(event);
    wake.resolve();
  };
  const heartbeat = (): void => push(wire(driver.events.newest, driver.nowMs(), { case: 'heartbeat', value: driver.bootId }));
  const off = driver.events.on((event) => push(eventToWire(event)));
  const timer = setInterval(heartbeat, heartbeatMs);
  const stop = (): void => wake.resolve();
  signal.addEventListener('abort', stop);
  try {
    const missed = driver.events.after(afterSequence);
    if (missed) queue.unshift(...missed.map(eventToWire));
    else {
      // Events that happen while the guests are being looked at stay in the queue behind the report: newer facts come last.
      const sequence = driver.events.newest;
      const guests = await driver.guests();
      const report = [
        ...guests.map((guest): HostEvent => ({ kind: 'guest', guest })),
        ...driver.migrations().map((migration): HostEvent => ({ kind: 'migration', migration })),
      ];
      queue.unshift(...report.map((event) => eventToWire({ sequence, atMs: driver.nowMs(), event })));
    }
    heartbeat();
    while (!signal.aborted) {
      wake = Promise.withResolvers<void>();
      yield* queue.splice(0);
      if (queue.length === 0) await wake.promise;
    }
  } finally {
    off();
    clearInterval(timer);
    signal.removeEventListener('abort', stop);
  }
}

const wire = (sequence: number, atMs: number, event: AgentEvent['event']): AgentEvent =>
  create(AgentEventSchema, { sequence: BigInt(sequence), atMs, event });

function eventToWire({ sequence, atMs, event }: NumberedEvent): AgentEvent {
  switch (event.kind) {
    case 'guest':
      return wire(sequence, atMs, { case: 'guest', value: guestReportToWire(event.guest) });
    case 'migration':
      return wire(sequence, atMs, { case: 'migration', value: migrationReportToWire(event.migration) });
    case 'release':
      return wire(sequence, atMs, { case: 'release', value: releaseToWire(event.release) });
  }
}
