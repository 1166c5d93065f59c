import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clearLab, godwit } from './lab-harness.ts';

const run = promisify(execFile);

type Report = {
  readonly ok: boolean;
  readonly accel: string;
  readonly qemu: string;
  readonly migrations: readonly Readonly<Record<string, unknown>>[];
  readonly blockMigration: Readonly<Record<string, unknown>>;
  readonly problems: readonly string[];
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gwe2e-'));
});
afterAll(async () => {
  await clearLab(dir);
}, 90_000);

it('the demo moves a busy guest five times, prints one object and clears up', async () => {
  const { stdout } = await run(godwit, ['demo', '--json', '--exit', '--dir', dir], { timeout: 240_000, maxBuffer: 1024 * 1024 }).catch(
    (error: { readonly stdout?: string; readonly stderr?: string }) => {
      throw new Error(`the demo failed: ${error.stdout ?? ''}\n${error.stderr ?? ''}`);
    },
  );
  const report = JSON.parse(stdout) as Report;
  expect(report.problems).toEqual([]);
  expect(report).toMatchObject({ ok: true, qemu: expect.stringMatching(/^\d+\.\d+\.\d+$/), accel: expect.stringMatching(/^(tcg|kvm)$/) });
  expect(report.migrations).toHaveLength(5);
  // The sixth takes its guest's local disk along.
  expect(report.blockMigration['diskBytes']).toBeGreaterThan(0);
  for (const move of [...report.migrations, report.blockMigration]) {
    expect(move).toMatchObject({ status: 'completed', tcpReset: false });
    expect(Object.keys(move)).toEqual(
      expect.arrayContaining([
        'id',
        'source',
        'destination',
        'status',
        'blackoutMs',
        'clockErrorMs',
        'qemuDowntimeMs',
        'ownShareMs',
        'clientGapMs',
        'tcpMaxStallMs',
        'tcpReset',
        'acceptToCompletedMs',
        'qemuTotalMs',
        'ramBytes',
        'rounds',
      ]),
    );
    expect(move['blackoutMs']).toBeGreaterThan(0);
    expect(move['source']).not.toBe(move['destination']);
  }
  const { stdout: status } = await run(godwit, ['lab', 'status', '--dir', dir, '--json']).catch(() => ({ stdout: '{}' }));
  expect(JSON.parse(status)).toEqual({});
}, 300_000);
