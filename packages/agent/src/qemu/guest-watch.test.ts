import { describe, expect, test } from 'vitest';
import { bootSector, readLetters } from './boot-sector.ts';
import { factOfEvent, factOfRunState, type GuestFact } from './guest-fact.ts';
import { type GuestProcess, lastWords, type ProcessEnd } from './guest-process.ts';
import { watchGuest } from './guest-watch.ts';
import { parseStat } from './process-ref.ts';
import type { QmpClient, QmpEvent } from './qmp-client.ts';
import { runDir } from './run-dir.ts';

const event = (name: string, data: Record<string, unknown> = {}): QmpEvent => ({ event: name, data, timestampMs: 0, receivedAtMs: 0 });

/** A QEMU whose run state and events the test sets. */
function scripted(): {
  guest: Pick<GuestProcess, 'qmp' | 'ended'>;
  emit(one: QmpEvent): void;
  status: string;
  /** Its answer to query-block. */
  blocks: readonly object[];
  end(how: ProcessEnd): void;
  facts: GuestFact[];
  settle(): Promise<void>;
} {
  let listener: (one: QmpEvent) => void = () => undefined;
  const ended = Promise.withResolvers<ProcessEnd>();
  const qmp = {
    execute: (command: string) => Promise.resolve(command === 'query-block' ? self.blocks : { status: self.status }),
    on: (one: typeof listener) => {
      listener = one;
      return () => {
        listener = () => undefined;
      };
    },
  } as unknown as QmpClient;
  const self = {
    guest: { qmp, ended: ended.promise },
    emit: (one: QmpEvent) => listener(one),
    status: 'running',
    blocks: [{ device: 'other', 'io-status': 'ok' }, { device: 'cd' }],
    end: ended.resolve,
    facts: [] as GuestFact[],
    settle: () => new Promise<void>((resolve) => setImmediate(resolve)),
  };
  return self;
}

describe('guest facts', () => {
  test('a power-off is told once, although QEMU also stops and pauses', async () => {
    const qemu = scripted();
    watchGuest(qemu.guest, (fact) => qemu.facts.push(fact));
    await qemu.settle();
    qemu.emit(event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' }));
    qemu.status = 'shutdown';
    qemu.emit(event('STOP'));
    await qemu.settle();
    qemu.end({ kind: 'exited', code: 0, lastLines: [] });
    await qemu.settle();
    expect(qemu.facts).toEqual([
      { kind: 'running' },
      { kind: 'powered-off', byGuest: true, reason: 'guest-shutdown' },
      { kind: 'died', clean: true, cause: 'QEMU exited with code 0', lastLines: [] },
    ]);
  });

  test('an I/O error is told with its disk, again after the guest went on, not as a pause, and not when its event comes late', async () => {
    const qemu = scripted();
    watchGuest(qemu.guest, (fact) => qemu.facts.push(fact));
    await qemu.settle();
    const error = event('BLOCK_IO_ERROR', { action: 'stop', nospace: true, reason: 'No space left on device' });
    const well = qemu.blocks;
    for (let round = 0; round < 2; round += 1) {
      qemu.emit(error);
      qemu.status = 'io-error';
      qemu.blocks = [...well, { device: '', qdev: '/machine/peripheral/vd0', 'io-status': 'nospace' }];
      qemu.emit(event('STOP'));
      await qemu.settle();
      qemu.status = 'running';
      qemu.blocks = well;
      qemu.emit(event('RESUME'));
      await qemu.settle();
      // QEMU holds back what follows within a second.
      qemu.emit(error);
      await qemu.settle();
    }
    expect(qemu.facts.map((fact) => fact.kind)).toEqual(['running', 'io-error', 'running', 'io-error', 'running']);
    expect(qemu.facts[1]).toMatchObject({ noSpace: true, device: '/machine/peripheral/vd0' });
  });

  test('nothing is told after the watch was stopped', async () => {
    const qemu = scripted();
    const stop = watchGuest(qemu.guest, (fact) => qemu.facts.push(fact));
    stop();
    qemu.emit(event('STOP'));
    qemu.end({ kind: 'vanished', lastLines: [] });
    await qemu.settle();
    expect(qemu.facts).toEqual([]);
  });

  test('an error that the guest itself got is no stop; an instant state is no fact', () => {
    expect(factOfEvent(event('BLOCK_IO_ERROR', { action: 'report' }))).toBeNull();
    expect(factOfEvent(event('GUEST_PANICKED', { action: 'pause' }))).toMatchObject({ kind: 'panicked' });
    expect(factOfEvent(event('BALLOON_CHANGE'))).toBeNull();
    expect(factOfRunState('finish-migrate')).toBeNull();
    expect(factOfRunState('internal-error')).toMatchObject({ kind: 'broken' });
    expect(factOfRunState('postmigrate')).toEqual({ kind: 'migrated' });
  });
});

describe('small things', () => {
  test('a stat line is read although the command’s name holds anything', () => {
    const fields = ['S', ...Array.from({ length: 18 }, (_, i) => String(i)), '4711', 'rest'];
    expect(parseStat(`12 (qemu) x (1) ${fields.join(' ')}`)).toEqual({ state: 'S', startTicks: 4711 });
    expect(() => parseStat('nonsense')).toThrow(/not understood/);
  });

  test('QEMU’s last words are its last error, whole, without time and program name', () => {
    const at = '2026-01-02T03:04:05.678901Z qemu-system-x86_64:';
    expect(
      lastWords([
        `${at} an earlier error`,
        `${at} -device x: Failed to get "write" lock`,
        'Is another process using the image?',
        `${at} warning: and this`,
      ]),
    ).toBe('-device x: Failed to get "write" lock Is another process using the image?');
    expect(lastWords(['sh: 1: qemu: not found'])).toBe('sh: 1: qemu: not found');
    expect(lastWords([])).toBe('it said nothing');
  });

  test('a state directory that makes socket paths too long is refused by name', () => {
    expect(() => runDir(`/${'x'.repeat(60)}`, '0a1b2c3d-0000-4000-8000-000000000001')).toThrow(/too long: .* exceeds 107 bytes/);
    expect(runDir('/var/lib/godwit', 'g').qmpSocket).toBe('/var/lib/godwit/guests/g/qmp.sock');
  });

  test('the counting guest fits into a boot sector, and its letters tell a gap, a repeat and a broken page', () => {
    expect(bootSector().readUInt16LE(510)).toBe(0xaa55);
    expect(readLetters('')).toEqual({ kind: 'silent' });
    expect(readLetters('OPABC')).toEqual({ kind: 'whole', letters: 5 });
    expect(readLetters('ABD')).toEqual({ kind: 'broken', at: 2 });
    expect(readLetters('ABB')).toEqual({ kind: 'broken', at: 2 });
    expect(readLetters('AB!')).toEqual({ kind: 'broken', at: 2 });
  });
});
