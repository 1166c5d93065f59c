import { describe, expect, test } from 'vitest';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '../ids.ts';
import { commandsFor, controllerStep } from './controller.ts';
import type { ControllerEvent } from './controller-event.ts';
import type { CustodyRow } from './custody-row.ts';
import { fencingDecides } from './fencing.ts';
import type { Grant } from './grant.ts';
import type { HostMessage, HostReport } from './host-effect.ts';
import { waysOut } from './ways-out.ts';

const [a, b] = ['a', 'b'].map((name) => as<HostId>(name)) as [HostId, HostId];
const fence = asFence(1);
const boot = (host: HostId): BootId => as<BootId>(`boot-${host}`);
const onA: CustodyRow = {
  serverId: as<ServerId>('s'),
  epoch: asEpoch(1),
  fence,
  holder: { kind: 'host', hostId: a, epoch: asEpoch(1), bootId: boot(a) },
  operation: null,
  remains: [],
  behind: false,
};
const move: ControllerEvent = {
  kind: 'beginMove',
  fenced: false,
  fence,
  migrationId: as<MigrationId>('m'),
  destination: b,
  bootId: boot(b),
  endState: 'running',
  postCopy: false,
};
const heard = (from: HostId, message: HostMessage): ControllerEvent => ({ kind: 'heard', fence, from, message });
const epoch = asEpoch(2);
const release = { migrationId: as<MigrationId>('m'), source: a, destination: b, epoch };
const report = (message: Partial<HostReport>): HostReport => ({
  kind: 'report',
  bootId: boot(a),
  knownEpoch: asEpoch(1),
  knownFence: fence,
  refusedThrough: asEpoch(0),
  forfeited: null,
  copy: { kind: 'none' },
  floor: null,
  ...message,
});

const after = (row: CustodyRow, ...events: readonly ControllerEvent[]): CustodyRow =>
  events.reduce((at, event) => controllerStep(at, event).row, row);
const orders = (row: CustodyRow) =>
  commandsFor(row).map((effect) =>
    effect.kind === 'command' ? `${effect.command.kind} → ${effect.to}` : effect.kind === 'relay' ? `release → ${effect.to}` : 'refused',
  );
const refusal = (row: CustodyRow, event: ControllerEvent) =>
  controllerStep(row, event).effects.flatMap((effect) => (effect.kind === 'refuse' ? [effect.refusal.code] : []));

test('a move, step by step: grant, arm, migrate, release, and the source is destroyed under the new epoch', () => {
  const granting = after(onA, move);
  expect(orders(granting)).toEqual(['grant → b']);
  const arming = after(granting, heard(b, { kind: 'granted', epoch }));
  expect(orders(arming)).toEqual(['arm → a']);
  const copying = after(arming, heard(a, { kind: 'armed', epoch }));
  expect(orders(copying)).toEqual(['migrate → a']);
  const releasing = after(copying, heard(a, { kind: 'released', release }));
  expect(orders(releasing)).toEqual(['release → b']);
  const done = after(releasing, heard(b, { kind: 'took', epoch, alive: true }));
  expect(done.holder).toEqual({ kind: 'host', hostId: b, epoch, bootId: boot(b) });
  expect(orders(done)).toEqual(['destroy → a']);
  expect(after(done, heard(a, { kind: 'destroyed', epoch })).remains).toEqual([]);
});

test('an abort asks the source first; its release turns it into a question to the destination', () => {
  const copying = after(onA, move, heard(b, { kind: 'granted', epoch }), heard(a, { kind: 'armed', epoch }));
  const disarming = after(copying, { kind: 'abort', fence });
  expect(orders(disarming)).toEqual(['disarm → a']);
  expect(orders(after(disarming, heard(a, { kind: 'disarmed', epoch, source: 'runs' })))).toEqual(['forfeit → b']);
  const completed = after(disarming, heard(a, { kind: 'disarmed', epoch, source: 'completed' }));
  expect(orders(after(completed, heard(b, { kind: 'forfeited', epoch })))).toEqual(['resume → a']);
  expect(after(completed, heard(b, { kind: 'took', epoch, alive: true })).holder).toMatchObject({ hostId: b });
});

test('after unknown from a rebooted destination a stopped source is not resumed: restart from disk', () => {
  const asked = after(
    onA,
    move,
    heard(b, { kind: 'granted', epoch }),
    heard(a, { kind: 'armed', epoch }),
    heard(a, { kind: 'released', release }),
    { kind: 'abort', fence },
  );
  expect(after(asked, heard(b, { kind: 'unknown', epoch, bootId: boot(b) }))).toBe(asked);
  const row = after(asked, heard(b, { kind: 'unknown', epoch, bootId: as<BootId>('boot-of-b-after') }));
  expect(row).toMatchObject({ holder: { kind: 'nowhere' }, operation: null });
  const again = after(row, {
    kind: 'beginStart',
    fenced: false,
    fence,
    destination: b,
    bootId: as<BootId>('boot-of-b-after'),
    endState: 'running',
  });
  expect(again.operation).toMatchObject({ kind: 'start', grant: { epoch: 3, previousEpoch: 2, source: null } });
});

describe('epochs and fences', () => {
  test('an aborted attempt burns its number', () => {
    const row = after(
      onA,
      move,
      { kind: 'abort', fence },
      heard(a, { kind: 'disarmed', epoch, source: 'runs' }),
      heard(b, { kind: 'forfeited', epoch }),
    );
    expect(row).toMatchObject({ operation: null, epoch: 2, holder: { hostId: a, epoch: 1 } });
    expect(after(row, move).operation).toMatchObject({ grant: { epoch: 3, previousEpoch: 1 } });
  });
  test('an executor that was replaced writes nothing', () => {
    const taken = after(onA, { kind: 'takeOver', fence: asFence(2) });
    expect(refusal(taken, move)).toEqual(['custody-fence-low']);
    expect(controllerStep(taken, move).row).toBe(taken);
    expect(refusal(taken, { kind: 'takeOver', fence: asFence(2) })).toEqual(['custody-fence-low']);
  });
  test('whoever takes over sends the same orders again, under its own fence', () => {
    const { row, effects } = controllerStep(after(onA, move), { kind: 'takeOver', fence: asFence(7) });
    expect(orders(row)).toEqual(['grant → b']);
    expect(effects).toMatchObject([{ command: { fence: 7 } }]);
  });
  test('one operation at a time, and none beside a copy that may run', () => {
    expect(refusal(after(onA, move), move)).toEqual(['custody-busy']);
    expect(refusal(onA, { kind: 'beginStart', fenced: false, fence, destination: b, bootId: boot(b), endState: 'running' })).toEqual([
      'custody-not-stopped',
    ]);
  });
});

describe('rule 8: a database that travelled back', () => {
  test('a host that knows more than the row stops all granting', () => {
    const behind = after(onA, heard(a, report({ knownEpoch: asEpoch(5) })));
    expect(refusal(behind, move)).toEqual(['custody-recovering']);
  });
  test('after a restore nothing is granted until every host has reported or is fenced', () => {
    const restored = after(onA, { kind: 'restored', fence, hosts: [a, b] });
    expect(orders(restored)).toEqual(['census → a', 'census → b']);
    expect(refusal(restored, move)).toEqual(['custody-recovering']);
    const floor = restored.epoch;
    const half = after(restored, heard(b, report({ bootId: boot(b), knownEpoch: floor, floor })));
    expect(refusal(half, move)).toEqual(['custody-recovering']);
    const whole = after(half, { kind: 'fenced', fence, hostId: a });
    expect(whole).toMatchObject({ operation: null, holder: { kind: 'nowhere' }, remains: [{ hostId: a }] });
  });
});

test('old reports say nothing about an epoch that their host did not know', () => {
  const started = after(
    { ...onA, holder: { kind: 'nowhere' } },
    { kind: 'beginStart', fenced: false, fence, destination: a, bootId: boot(a), endState: 'running' },
    heard(a, { kind: 'granted', epoch }),
    heard(a, { kind: 'took', epoch, alive: true }),
  );
  expect(after(started, heard(a, report({ knownEpoch: asEpoch(1) }))).holder).toMatchObject({ hostId: a });
  expect(after(started, heard(a, report({ knownEpoch: epoch }))).holder).toEqual({ kind: 'nowhere' });
});

test('the ways out are named: wait for the host, or fence it', () => {
  expect(waysOut(onA)).toEqual([]);
  expect(waysOut(onA, true)).toEqual([
    { kind: 'wait', hostId: a },
    { kind: 'fenced', hostId: a, outcome: 'restart-from-disk' },
  ]);
  const releasing = after(
    onA,
    move,
    heard(b, { kind: 'granted', epoch }),
    heard(a, { kind: 'armed', epoch }),
    heard(a, { kind: 'released', release }),
  );
  expect(waysOut(releasing)).toEqual([
    { kind: 'wait', hostId: b },
    { kind: 'fenced', hostId: b, outcome: 'restart-from-disk' },
  ]);
  const granting = after(onA, move);
  expect(waysOut(granting)).toEqual([
    { kind: 'wait', hostId: b },
    { kind: 'fenced', hostId: b, outcome: 'continue' },
  ]);
});

test('a fencing decides where the host is waited for or holds, once; and nothing elsewhere', () => {
  expect(fencingDecides(onA, b)).toBe(false);
  expect(fencingDecides(onA, a)).toBe(true);
  const fenced = after(onA, { kind: 'fenced', fence, hostId: a });
  expect(fenced).toMatchObject({ holder: { kind: 'nowhere' }, remains: [{ hostId: a, below: 2 }] });
  expect(fencingDecides(fenced, a)).toBe(false);
  // A source that is silent: the fencing ends the wait for it, and then only the destination's word counts.
  const copying = after(onA, move, heard(b, { kind: 'granted', epoch }), heard(a, { kind: 'armed', epoch }), { kind: 'abort', fence });
  expect(fencingDecides(copying, a)).toBe(true);
  const lost = after(copying, { kind: 'fenced', fence, hostId: a });
  expect(orders({ ...lost, remains: [] })).toEqual(['forfeit → b']);
  expect(fencingDecides(lost, a)).toBe(false);
  expect(fencingDecides(lost, b)).toBe(true);
});

describe('a memory, after the database travelled back', () => {
  const suspended: CustodyRow = { ...onA, holder: { kind: 'suspended', hostId: a, epoch: asEpoch(1) } };
  const restored = after(suspended, { kind: 'restored', fence, hosts: [a, b] });
  const floor = restored.epoch;
  const grant = (host: HostId, at: number) => ({
    serverId: onA.serverId,
    migrationId: null,
    source: null,
    destination: host,
    epoch: asEpoch(at),
    previousEpoch: asEpoch(at - 1),
    fence,
    endState: 'running' as const,
    bootId: boot(host),
    postCopy: false,
  });
  const process = { pid: 1, startTicks: 1 };
  const memory = heard(
    a,
    report({ knownEpoch: floor, floor, ranThrough: asEpoch(1), copy: { kind: 'suspended', grant: grant(a, 1), process } }),
  );
  const fromB = (message: Partial<HostReport>) => heard(b, report({ bootId: boot(b), knownEpoch: floor, floor, ...message }));
  const outcome = (...events: readonly ControllerEvent[]) => after(restored, ...events);
  const died = { kind: 'held', grant: grant(b, 3), process, alive: false, settled: true, outgoing: null } as const;

  test('it is the copy when the guest has run nowhere since', () => {
    const row = outcome(memory, fromB({ ranThrough: asEpoch(0), refusedThrough: floor }));
    expect(row).toMatchObject({ operation: null, holder: { kind: 'suspended', hostId: a, epoch: 1 } });
  });
  test.each([
    ['has died there since', { copy: died }],
    ['was destroyed there since', { ranThrough: asEpoch(3) }],
  ] as const)('it is none when the guest %s, and is destroyed when it is told of', (_, message) => {
    for (const row of [outcome(memory, fromB(message)), outcome(fromB(message), memory)]) {
      expect(row).toMatchObject({ operation: null, holder: { kind: 'nowhere' } });
      expect(orders(after(row, memory))).toEqual(['destroy → a']);
    }
  });
  test('nor when a resume of it was granted, and is not taken', () => {
    const copy = {
      kind: 'granted',
      grant: { ...grant(a, 5), memory: asEpoch(1) },
      process: null,
      released: false,
      memory: grant(a, 1),
    } as const;
    const pending = heard(a, report({ knownEpoch: floor, floor, copy }));
    expect(outcome(pending, fromB({ copy: died }))).toMatchObject({ operation: null, holder: { kind: 'nowhere' } });
    expect(outcome(pending, fromB({}))).toMatchObject({ operation: { step: 'forfeiting' }, holder: { kind: 'suspended', epoch: 1 } });
  });
  test('a host that is fenced before it is heard may have run anything; one that was heard, what it told', () => {
    const fenced: ControllerEvent = { kind: 'fenced', fence, hostId: b };
    expect(outcome(memory, fenced).holder).toEqual({ kind: 'nowhere' });
    expect(outcome(fenced, memory).holder).toEqual({ kind: 'nowhere' });
    expect(outcome(fromB({}), fenced, memory).holder).toMatchObject({ kind: 'suspended' });
    expect(outcome(fromB({ copy: died }), fenced, memory).holder).toEqual({ kind: 'nowhere' });
    // A census that begins anew, above what somebody knows, does not forget it.
    const higher = asEpoch(floor + 1);
    const anew = outcome(fenced, heard(a, report({ knownEpoch: higher, floor })));
    expect(anew).toMatchObject({ operation: { kind: 'recovery', waitingFor: [a] } });
    const told = heard(a, report({ knownEpoch: anew.epoch, floor: anew.epoch, copy: { kind: 'suspended', grant: grant(a, 1), process } }));
    expect(after(anew, told).holder).toEqual({ kind: 'nowhere' });
  });
});

test('a memory that its host says is a dead guest, or nothing, is lost; an older report says nothing of it', () => {
  const suspended: CustodyRow = { ...onA, holder: { kind: 'suspended', hostId: a, epoch: asEpoch(1) } };
  const grant = { ...(after(onA, move).operation as { readonly grant: Grant }).grant, source: null, destination: a, epoch: asEpoch(1) };
  const held = { kind: 'held', grant, process: { pid: 1, startTicks: 1 }, alive: false, settled: true, outgoing: null } as const;
  const row = (message: Partial<HostReport>) => after(suspended, heard(a, report(message))).holder;
  expect(row({ copy: held })).toEqual({ kind: 'nowhere' });
  expect(row({ copy: { ...held, alive: true, suspending: true } })).toEqual(suspended.holder);
  expect(row({ copy: { kind: 'none' } })).toEqual({ kind: 'nowhere' });
  expect(row({ copy: { kind: 'none' }, knownEpoch: asEpoch(0) })).toEqual(suspended.holder);
});
