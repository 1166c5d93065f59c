import fc from 'fast-check';
import { expect, test } from 'vitest';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '../ids.ts';
import type { Grant } from './grant.ts';
import { hostStep } from './host.ts';
import type { HostCustody } from './host-custody.ts';
import type { HostEvent } from './host-event.ts';
import type { JournalRecord } from './journal-record.ts';
import { migrationInProgress, type QemuView } from './qemu-view.ts';
import { compacted, recover, unknownServer } from './recover.ts';

const serverId = as<ServerId>('s');
const [here, there] = ['here', 'there'].map((name) => as<HostId>(name)) as [HostId, HostId];
const boots = ['boot-1', 'boot-2'].map((name) => as<BootId>(name));
const boot = boots[0] as BootId;
const process = { pid: 1, startTicks: 1 };

const epochs = fc.integer({ min: 1, max: 5 }).map(asEpoch);
const fences = fc.integer({ min: 1, max: 3 }).map(asFence);
const views: fc.Arbitrary<QemuView | null> = fc.option(
  fc.record({
    runstate: fc.constantFrom('prelaunch', 'inmigrate', 'paused', 'running', 'finish-migrate', 'postmigrate', 'other'),
    migration: fc.constantFrom('none', 'active', 'pre-switchover', 'device', 'postcopy-active', 'cancelled', 'failed', 'completed'),
  } as const),
);
const grants: fc.Arbitrary<Grant> = fc
  .record({
    epoch: epochs,
    previous: epochs,
    kind: fc.constantFrom('start', 'resume', 'in', 'out'),
    bootId: fc.constantFrom(...boots),
    endState: fc.constantFrom('running', 'paused'),
  } as const)
  .map(({ epoch, previous, kind, bootId, endState }) => ({
    serverId,
    ...(kind === 'resume' && { memory: previous }),
    migrationId: kind === 'start' || kind === 'resume' ? null : as<MigrationId>(`m${epoch}`),
    source: kind === 'start' || kind === 'resume' ? null : kind === 'in' ? there : here,
    destination: kind === 'out' ? there : here,
    epoch,
    previousEpoch: previous,
    fence: asFence(1),
    endState,
    bootId,
    postCopy: false,
  }));

const events: fc.Arbitrary<HostEvent> = fc.oneof(
  fc.record({ kind: fc.constant('grant' as const), fence: fences, grant: grants }),
  fc.record({ kind: fc.constant('arm' as const), fence: fences, grant: grants, view: views }),
  ...(['launch', 'migrate', 'continue', 'disarm', 'pause', 'unpause', 'reset', 'powerOff', 'suspend'] as const).map((kind) =>
    fc.record({ kind: fc.constant(kind), fence: fences, epoch: epochs, view: views }),
  ),
  fc.record({ kind: fc.constant('forfeit' as const), fence: fences, epoch: epochs, bootId: fc.constantFrom(...boots) }),
  fc.record({ kind: fc.constant('resume' as const), fence: fences, epoch: epochs, forfeited: epochs, view: views }),
  fc.record({ kind: fc.constant('destroy' as const), fence: fences, epoch: epochs }),
  fc.record({ kind: fc.constant('census' as const), fence: fences, floor: epochs }),
  fc.record({ kind: fc.constant('suspendAbandoned' as const), epoch: epochs, view: views }),
  fc.record({ kind: fc.constant('bind' as const), epoch: epochs, process: fc.constant(process) }),
  epochs.chain((epoch) =>
    views.map((view) => ({
      kind: 'release' as const,
      release: { migrationId: as<MigrationId>(`m${epoch}`), source: there, destination: here, epoch },
      view,
    })),
  ),
  ...(['observed', 'switchoverTimeout', 'adopt'] as const).map((kind) => fc.record({ kind: fc.constant(kind), view: views })),
);

const firstGrant: Grant = {
  serverId,
  migrationId: null,
  source: null,
  destination: here,
  epoch: asEpoch(1),
  previousEpoch: asEpoch(0),
  fence: asFence(1),
  endState: 'running',
  bootId: boot,
  postCopy: false,
};
/** What the journal says of a guest that runs under it. */
const begun: readonly JournalRecord[] = [
  { kind: 'grant', grant: firstGrant },
  { kind: 'bound', epoch: asEpoch(1), process },
  { kind: 'taking', epoch: asEpoch(1), bootId: boot, process },
  { kind: 'taken', epoch: asEpoch(1) },
];

/** A sequence of events that gets somewhere: a plain start first, in most of them. */
const histories = fc.tuple(fc.boolean(), fc.array(events, { maxLength: 25 })).map(([starts, rest]): readonly HostEvent[] => {
  const begin: readonly HostEvent[] = [
    { kind: 'grant', fence: asFence(1), grant: firstGrant },
    { kind: 'bind', epoch: asEpoch(1), process },
    { kind: 'launch', fence: asFence(1), epoch: asEpoch(1), view: { runstate: 'prelaunch', migration: 'none' } },
  ];
  return [...(starts ? begin : []), ...rest];
});

const walk = (
  history: readonly HostEvent[],
  visit: (before: HostCustody, event: HostEvent, step: ReturnType<typeof hostStep>, journal: readonly JournalRecord[]) => void,
): void => {
  let state = unknownServer(serverId, here, boot);
  const journal: JournalRecord[] = [];
  for (const event of history) {
    const step = hostStep(state, event);
    for (const effect of step.effects) if (effect.kind === 'journal') journal.push(effect.record);
    visit(state, event, step, journal);
    state = step.state;
  }
};

test('what was promised never goes back', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk(history, (before, _, { state }) => {
        expect(state.knownEpoch).toBeGreaterThanOrEqual(before.knownEpoch);
        expect(state.refusedThrough).toBeGreaterThanOrEqual(before.refusedThrough);
        expect(state.disarmedThrough).toBeGreaterThanOrEqual(before.disarmedThrough);
        expect(state.lastTaken).toBeGreaterThanOrEqual(before.lastTaken);
        expect(state.fence).toBeGreaterThanOrEqual(before.fence);
        if (state.copy.kind !== 'none') expect(state.copy.grant.epoch).not.toBe(state.forfeited);
      }),
    ),
    { numRuns: 2000 },
  );
});

test('a refusal changes nothing but the fence, and orders nothing but the end of a process that came too late', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk(history, (before, event, { state, effects }) => {
        const refused = effects.some((effect) => effect.kind === 'tell' && effect.message.kind === 'refused');
        if (!refused) return;
        // A valid release that finds QEMU gone is remembered all the same.
        if (event.kind !== 'release') expect({ ...state, fence: before.fence }).toEqual(before);
        for (const effect of effects)
          expect(
            effect.kind === 'tell' ||
              (effect.kind === 'journal' && effect.record.kind === 'fence') ||
              (effect.kind === 'kill' && event.kind === 'bind' && effect.process === event.process),
          ).toBe(true);
      }),
    ),
    { numRuns: 2000 },
  );
});

test('a process is never left that nothing is bound to, and the one that is bound is never killed for it', () => {
  const late = { pid: 4_711, startTicks: 7 };
  fc.assert(
    fc.property(histories, epochs, (history, epoch) =>
      walk(history, (_, __, { state }) => {
        const kills = (one: { readonly pid: number; readonly startTicks: number }) => {
          const after = hostStep(state, { kind: 'bind', epoch, process: one });
          const bound = after.state.copy.kind === 'none' ? null : after.state.copy.process;
          return { killed: after.effects.some(({ kind }) => kind === 'kill'), isBound: bound?.pid === one.pid };
        };
        const { killed, isBound } = kills(late);
        expect(killed).toBe(!isBound);
        if (state.copy.kind !== 'none' && state.copy.process !== null) expect(kills(state.copy.process).killed).toBe(false);
      }),
    ),
    { numRuns: 500 },
  );
});

test('cont: never in inmigrate, never while QEMU migrates, on a destination only after taking stands in the journal', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk(history, (before, event, { effects }) => {
        const at = effects.findIndex(({ kind }) => kind === 'cont');
        if (at === -1) return;
        const view = 'view' in event ? event.view : null;
        expect(view).not.toBeNull();
        expect(view?.runstate).not.toBe('inmigrate');
        if (before.copy.kind === 'held' && event.kind !== 'adopt') expect(migrationInProgress(view?.migration ?? 'none')).toBe(false);
        if (before.copy.kind === 'released') expect(event.kind).toBe('resume');
        if (before.copy.kind !== 'granted') return;
        expect(effects.findIndex((effect) => effect.kind === 'journal' && effect.record.kind === 'taking')).toBeGreaterThanOrEqual(0);
        expect(effects.findIndex((effect) => effect.kind === 'journal' && effect.record.kind === 'taking')).toBeLessThan(at);
        expect(before.copy.grant.bootId).toBe(boot);
      }),
    ),
    { numRuns: 4000 },
  );
});

test('the journal tells everything that must survive; compaction keeps it; a reboot leaves no copy alive, and no grant that is good for one', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk(history, (_, __, { state }, journal) => {
        const recovered = recover(journal, serverId, here, boot);
        for (const field of ['knownEpoch', 'refusedThrough', 'forfeited', 'lastTaken', 'disarmedThrough', 'fence'] as const)
          expect({ field, value: recovered[field] }).toEqual({ field, value: state[field] });
        // A pre-copy release leaves no record: QEMU itself shows it.
        expect(recovered.copy.kind).toBe(state.copy.kind === 'released' ? 'held' : state.copy.kind);
        if (recovered.copy.kind !== 'none' && state.copy.kind !== 'none') expect(recovered.copy.grant).toEqual(state.copy.grant);
        expect(recover([compacted(recovered)], serverId, here, boot)).toEqual(recovered);
        const rebooted = recover([compacted(recovered)], serverId, here, as<BootId>('boot-9'));
        expect(rebooted).toEqual(recover(journal, serverId, here, as<BootId>('boot-9')));
        if (rebooted.copy.kind === 'held' || rebooted.copy.kind === 'released') expect(rebooted.copy.alive).toBe(false);
        if (rebooted.copy.kind !== 'granted') return;
        const again = hostStep(rebooted, { kind: 'grant', fence: asFence(1_000), grant: rebooted.copy.grant });
        expect(again.effects).toMatchObject([
          { kind: 'journal', record: { kind: 'fence' } },
          { kind: 'tell', message: { kind: 'refused', refusal: { code: 'custody-boot-changed' } } },
        ]);
      }),
    ),
    { numRuns: 1000 },
  );
});

test('a release seals: until a forfeit of that very epoch is known, nothing resumes the source', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk(history, (before, event, { state, effects }) => {
        if (before.copy.kind !== 'released' || !before.copy.alive) return;
        if (state.copy.kind === 'held')
          expect(event).toMatchObject({ kind: 'resume', forfeited: before.copy.to.epoch, epoch: before.copy.grant.epoch });
        else expect(effects.some(({ kind }) => kind === 'cont' || kind === 'migrate' || kind === 'reset')).toBe(false);
      }),
    ),
    { numRuns: 4000 },
  );
});

test('a suspended copy runs again only by a grant that names its memory, and that memory once', () => {
  fc.assert(
    fc.property(histories, (history) =>
      walk([...history.slice(0, 3), ...suspension, ...history.slice(3)], (before, event, { state, effects }) => {
        const { copy } = before;
        if (copy.kind === 'suspended') {
          expect(effects.some(({ kind }) => kind === 'cont' || kind === 'migrate' || kind === 'saveMemory' || kind === 'quit')).toBe(false);
          if (state.copy.kind === 'granted') expect(event).toMatchObject({ kind: 'grant', grant: { memory: copy.grant.epoch } });
          else expect(state.copy.kind === 'suspended' || event.kind === 'destroy').toBe(true);
        }
        if (state.copy.kind === 'suspended' && copy.kind === 'held') expect(copy.suspending).toBe(true);
      }),
    ),
    { numRuns: 4000 },
  );
});

/** From a guest that runs under epoch 1 to its memory. */
const suspension: readonly HostEvent[] = [
  { kind: 'suspend', fence: asFence(3), epoch: asEpoch(1), view: { runstate: 'running', migration: 'none' } },
  { kind: 'observed', view: { runstate: 'postmigrate', migration: 'completed' } },
];

test('a resume spends the memory durably before the guest runs; given up, it leaves it as it was, also in the next boot', () => {
  const state = recover(
    [...begun, { kind: 'suspending', epoch: asEpoch(1) }, { kind: 'suspended', epoch: asEpoch(1) }],
    serverId,
    here,
    boot,
  );
  const grant = { ...firstGrant, epoch: asEpoch(2), previousEpoch: asEpoch(1), memory: asEpoch(1) };
  const granted = hostStep(state, { kind: 'grant', fence: asFence(3), grant }).state;
  const bound = hostStep(granted, { kind: 'bind', epoch: asEpoch(2), process: { pid: 2, startTicks: 2 } }).state;
  const launch = (view: QemuView) => hostStep(bound, { kind: 'launch', fence: asFence(3), epoch: asEpoch(2), view });
  expect(launch({ runstate: 'inmigrate', migration: 'active' }).effects).toMatchObject([
    { message: { refusal: { code: 'custody-not-ready' } } },
  ]);
  const took = launch({ runstate: 'paused', migration: 'completed' });
  expect(took.effects.slice(0, 2)).toMatchObject([{ kind: 'journal', record: { kind: 'taking' }, durability: 'fsync' }, { kind: 'cont' }]);
  const dead = hostStep(took.state, { kind: 'observed', view: null }).state;
  const again = { ...grant, epoch: asEpoch(3), previousEpoch: asEpoch(2) };
  expect(hostStep(dead, { kind: 'grant', fence: asFence(3), grant: again }).effects).toMatchObject([
    { message: { refusal: { code: 'custody-no-memory' } } },
  ]);
  const rebooted = recover([compacted(bound)], serverId, here, as<BootId>('boot-9'));
  const back = hostStep(rebooted, { kind: 'forfeit', fence: asFence(3), epoch: asEpoch(2), bootId: boot });
  expect(back.state.copy).toMatchObject({ kind: 'suspended', grant: { epoch: 1 } });
  expect(back.effects.at(-1)).toMatchObject({ message: { kind: 'forfeited', epoch: 2 } });
});

test('a guest that shut down while its memory was saved comes back in that state, and nothing lets it run', () => {
  const state = recover(
    [...begun, { kind: 'suspending', epoch: asEpoch(1) }, { kind: 'suspended', epoch: asEpoch(1) }],
    serverId,
    here,
    boot,
  );
  const grant = { ...firstGrant, epoch: asEpoch(2), previousEpoch: asEpoch(1), memory: asEpoch(1) };
  const granted = hostStep(state, { kind: 'grant', fence: asFence(3), grant }).state;
  const bound = hostStep(granted, { kind: 'bind', epoch: asEpoch(2), process: { pid: 2, startTicks: 2 } }).state;
  const launch = (view: QemuView) => hostStep(bound, { kind: 'launch', fence: asFence(3), epoch: asEpoch(2), view });
  const took = launch({ runstate: 'other', migration: 'completed' });
  expect(took.effects.map(({ kind }) => kind)).toEqual(['journal', 'tell', 'journal']);
  expect(took.effects[0]).toMatchObject({ record: { kind: 'taking' }, durability: 'fsync' });
  expect(took.state.copy).toMatchObject({ kind: 'held', alive: true });
  expect(launch({ runstate: 'other', migration: 'active' }).effects).toMatchObject([
    { message: { refusal: { code: 'custody-not-ready' } } },
  ]);
});

test('a take from a memory that is finished later is fsynced again before the guest runs; one without a memory is not', () => {
  const view: QemuView = { runstate: 'paused', migration: 'completed' };
  const memory: readonly JournalRecord[] = [
    ...begun,
    { kind: 'suspending', epoch: asEpoch(1) },
    { kind: 'suspended', epoch: asEpoch(1) },
    { kind: 'grant', grant: { ...firstGrant, epoch: asEpoch(2), previousEpoch: asEpoch(1), memory: asEpoch(1) } },
    { kind: 'bound', epoch: asEpoch(2), process },
    { kind: 'taking', epoch: asEpoch(2), bootId: boot, process },
  ];
  const adopted = (records: readonly JournalRecord[]) => hostStep(recover(records, serverId, here, boot), { kind: 'adopt', view });
  expect(adopted(memory).effects.slice(0, 3)).toMatchObject([
    { kind: 'journal', record: { kind: 'taking', epoch: 2, bootId: boot }, durability: 'fsync' },
    { kind: 'cont' },
    { kind: 'journal', record: { kind: 'taken' } },
  ]);
  const again: JournalRecord = { kind: 'taking', epoch: asEpoch(2), bootId: boot, process };
  expect(recover([...memory, again], serverId, here, boot)).toEqual(recover(memory, serverId, here, boot));
  const unsettled = begun.filter(({ kind }) => kind !== 'taken');
  expect(adopted(unsettled).effects[0]).toMatchObject({ kind: 'cont' });
});

test('what may have run here is told: a take that a power loss took, also when its grant is destroyed or followed by another', () => {
  const later = as<BootId>('boot-9');
  const lost = recover([{ kind: 'grant', grant: firstGrant }], serverId, here, later);
  const told = (state: HostCustody) =>
    hostStep(state, { kind: 'census', fence: asFence(3), floor: asEpoch(9) }).effects.find((effect) => effect.kind === 'tell');
  expect(told(lost)).toMatchObject({ message: { ranThrough: 1 } });
  const next = { ...firstGrant, epoch: asEpoch(2), previousEpoch: asEpoch(1), bootId: later };
  for (const event of [
    { kind: 'destroy', fence: asFence(3), epoch: asEpoch(2) },
    { kind: 'forfeit', fence: asFence(3), epoch: asEpoch(1), bootId: boot },
    { kind: 'grant', fence: asFence(3), grant: next },
  ] as const) {
    const { state, effects } = hostStep(lost, event);
    expect(told(state)).toMatchObject({ message: { ranThrough: 1 } });
    const records = effects.flatMap((effect) => (effect.kind === 'journal' ? [effect.record] : []));
    const replayed = recover([{ kind: 'grant', grant: firstGrant }, ...records], serverId, here, later);
    expect(told(recover([compacted(replayed)], serverId, here, later))).toMatchObject({ message: { ranThrough: 1 } });
  }
  const proven = hostStep(recover([{ kind: 'grant', grant: firstGrant }], serverId, here, boot), {
    kind: 'forfeit',
    fence: asFence(3),
    epoch: asEpoch(1),
    bootId: boot,
  });
  expect(told(proven.state)).toMatchObject({ message: { ranThrough: 0 } });
});
