import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import { openPool } from '../storage/pool.ts';
import { chooseAccelerator } from './accelerator.ts';
import { defaultCpuModel, expandCpuModel, newestMachine, probeCapabilities, type QemuCapabilities } from './capabilities.ts';
import { startGuest } from './guest-process.ts';
import { hostFacts } from './host-facts.ts';
import { isAlive } from './process-ref.ts';
import { selfTest } from './self-test.ts';
import { throwawayDir, throwawayGuest } from './throwaway-guest.ts';

const qemuBinary = 'qemu-system-x86_64';
let stateDir: string;
let capabilities: QemuCapabilities;

beforeAll(async () => {
  const dir = mkdtempSync('/tmp/gw-p-');
  capabilities = await probeCapabilities(qemuBinary, 'tcg', dir, 5000);
  rmSync(dir, { recursive: true });
});
beforeEach(() => {
  stateDir = mkdtempSync('/tmp/gw-p-');
});
afterEach(() => {
  throwawayGate.discardLeftovers(stateDir);
  rmSync(stateDir, { recursive: true });
});

/** A stand-in for QEMU: a script that may change its arguments before it runs the real one. */
function qemuWrapper(script: string): string {
  const path = join(stateDir, 'qemu');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe('capabilities', () => {
  test('are QEMU’s own answers', () => {
    expect(capabilities.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(capabilities.migrationCapabilities).toEqual(
      expect.arrayContaining(['return-path', 'pause-before-switchover', 'multifd', 'postcopy-ram']),
    );
    expect(newestMachine(capabilities, 'q35')).toMatch(/^pc-q35-\d+\.\d+$/);
    expect(capabilities.cpuFeatures).toEqual(expect.arrayContaining(['sse4.2', 'popcnt']));
    expect(capabilities.cpuFeatures).not.toContain('avx512f');
    expect(defaultCpuModel(capabilities)).toBe('Nehalem-v1');
    expect(capabilities.cpuModels.find((model) => model.name === 'Skylake-Server-v5')?.unavailable).toContain('avx512f');
  });

  test('a CPU model expands to the features that a guest sees, changes included', async () => {
    const plain = await expandCpuModel(capabilities, 'Nehalem-v1', stateDir, 5000);
    expect(plain).toContain('sse4.2');
    expect(plain).not.toContain('aes');
    const changed = await expandCpuModel(capabilities, 'Nehalem-v1,+aes,-sse4.2', stateDir, 5000);
    expect(changed).toContain('aes');
    expect(changed).not.toContain('sse4.2');
    await expect(expandCpuModel(capabilities, 'Nonesuch', stateDir, 5000)).rejects.toMatchObject({
      code: 'BadRequest',
      message: expect.stringMatching(/Nonesuch/),
    });
    expect(readdirSync(stateDir)).toEqual([]);
  });

  test('QEMU is asked before it can look for whom to answer: two of its threads that look at once may leave one waiting for ever', async () => {
    const said = join(stateDir, 'said');
    await probeCapabilities(qemuWrapper(`exec ${qemuBinary} "$@" 2>${said}`), 'tcg', join(stateDir, 'work'), 30_000);
    expect(readFileSync(said, 'utf8')).toMatch(/waiting for connection on: .*qmp\.sock/);
  });

  test('a binary that is none, or dies, is told with its words', async () => {
    await expect(probeCapabilities('/nonexistent/qemu', 'tcg', stateDir, 2000)).rejects.toMatchObject({
      code: 'GuestStartFailed',
      message: expect.stringMatching(/ENOENT/),
    });
    await expect(probeCapabilities(qemuWrapper('echo broken module >&2; exit 3'), 'tcg', stateDir, 2000)).rejects.toMatchObject({
      message: expect.stringMatching(/broken module/),
    });
    const saysThatItWaits = 'echo "qemu: info: QEMU waiting for connection on: x" >&2; exit 3';
    await expect(probeCapabilities(qemuWrapper(saysThatItWaits), 'tcg', stateDir, 2000)).rejects.toMatchObject({
      message: expect.not.stringMatching(/waiting for connection/),
    });
  });
});

describe('the accelerator', () => {
  test('is chosen by booting, and says why', async () => {
    const choice = await chooseAccelerator({ wanted: 'auto', qemuBinary, stateDir, deadlineMs: 5000 });
    if (choice.accelerator === 'kvm') expect(choice.reason).toMatch(/booted under KVM in \d+ ms/);
    else expect(choice.reason).toMatch(/KVM is not there|does not boot under it: ./);
    expect(choice.capabilities.accelerator).toBe(choice.accelerator);
    expect(existsSync(throwawayDir(stateDir))).toBe(false);
  });

  test('KVM that starts but runs nothing is found out', async (context) => {
    if (!existsSync('/dev/kvm')) return context.skip();
    // Everything works, except that the guest's disk holds no boot sector that counts.
    const qemu = qemuWrapper(
      `for a in "$@"; do case "$a" in *'"node-name":"disk0-file"'*) f=$(echo "$a" | sed 's/.*"filename":"\\([^"]*\\)".*/\\1/'); head -c 2097152 /dev/zero > "$f";; esac; done; exec ${qemuBinary} $(for a in "$@"; do echo "$a" | sed -e 's/^kvm$/tcg/' -e 's/ /_/g'; done)`,
    );
    const choice = await chooseAccelerator({ wanted: 'auto', qemuBinary: qemu, stateDir, deadlineMs: 1500 });
    expect(choice.accelerator).toBe('tcg');
    expect(choice.reason).toMatch(/no sign of life within 1500 ms/);
  });

  test('demanded and not there is an error', async () => {
    await expect(
      chooseAccelerator({ wanted: 'kvm', qemuBinary: qemuWrapper('echo no accelerator >&2; exit 1'), stateDir, deadlineMs: 1000 }),
    ).rejects.toBeInstanceOf(Error);
  });
});

describe('the self-test', () => {
  test('sees every feature of this QEMU work, and leaves nothing', async () => {
    const results = await selfTest({ capabilities, stateDir, moveDeadlineMs: 10_000, totalDeadlineMs: 60_000 });
    expect(results.map((one) => one.feature)).toEqual(['pre-copy', 'pause-before-switchover', 'tls', 'multifd stream', 'zstd stream']);
    for (const one of results)
      expect(one).toMatchObject({ works: true, detail: expect.stringMatching(/went on counting; stopped for \d+\.\d ms/) });
    expect(existsSync(throwawayDir(stateDir))).toBe(false);
  });

  test('a guest that arrives dead is a failure, whatever QEMU reports', async () => {
    // Every destination's serial port leads nowhere: `completed` comes, and nobody hears the guest.
    const lame = qemuWrapper(
      `case "$*" in *"-incoming defer"*) exec ${qemuBinary} $(for a in "$@"; do echo "$a" | sed 's|logfile=[^,]*|logfile=/dev/null|'; done);; *) exec ${qemuBinary} "$@";; esac`,
    );
    const results = await selfTest({
      capabilities: { ...capabilities, qemuBinary: lame },
      stateDir,
      moveDeadlineMs: 1500,
      totalDeadlineMs: 2000,
    });
    expect(results[0]).toMatchObject({ feature: 'pre-copy', works: false, detail: expect.stringMatching(/no sign of life/) });
    expect(results.at(-1)).toMatchObject({ works: false, detail: expect.stringMatching(/not tried/) });
  });

  test('what the table forbids is not even tried', async () => {
    const results = await selfTest({
      capabilities: { ...capabilities, version: '7.2.22', qemuBinary: '/nonexistent' },
      stateDir,
      moveDeadlineMs: 100,
      totalDeadlineMs: 1000,
    });
    expect(results.find((one) => one.feature === 'pre-copy')).toMatchObject({
      works: false,
      detail: expect.stringMatching(/forbidden with QEMU 7\.2\.22 under tcg/),
    });
  });

  test('ends what a dead agent’s self-test left, and nobody else’s', async () => {
    const start = async (dir: string): ReturnType<typeof startGuest> => {
      const spec = await throwawayGuest(dir, {
        accelerator: 'tcg',
        machineType: newestMachine(capabilities, 'q35') ?? '',
        cpuModel: 'Nehalem-v1',
      });
      return startGuest(spec, {
        qemuBinary,
        stateDir: throwawayDir(dir),
        runName: 'left',
        epoch: 1,
        incoming: false,
        imageLocking: true,
        sandbox: true,
        vhostNet: false,
        tls: [],
        deadlineMs: 10_000,
      });
    };
    const otherDir = mkdtempSync('/tmp/gw-p-other-');
    const [mine, other] = await Promise.all([start(stateDir), start(otherDir)]);
    try {
      expect(throwawayGate.discardLeftovers(stateDir)).toEqual([mine.ref.pid]);
      expect(await mine.ended).toMatchObject({ kind: 'signalled' });
      expect(isAlive(other.ref)).toBe(true);
    } finally {
      await throwawayGate.discard(other);
      rmSync(otherDir, { recursive: true });
    }
  });
});

describe('host facts', () => {
  test('are put together from what was found', async () => {
    mkdirSync(join(stateDir, 'pool'));
    const pool = await openPool({ name: 'local', kind: 'local', path: join(stateDir, 'pool') });
    const gone = { ...pool, name: 'gone', path: join(stateDir, 'gone') };
    const facts = await hostFacts({
      choice: { accelerator: 'tcg', reason: 'TCG is configured', capabilities, probeMs: 1 },
      selfTest: [],
      pools: [pool, gone],
      bridges: ['br0'],
      vlans: false,
      agentVersion: '0.1.0',
    });
    expect(facts).toMatchObject({
      hypervisorType: 'QEMU',
      qemuVersion: capabilities.version,
      accelerator: 'tcg',
      bridges: ['br0'],
      vlans: false,
    });
    expect(facts.pools.map((one) => one.name)).toEqual(['local']);
    expect(facts.machineTypes).toContain(newestMachine(capabilities, 'q35'));
    expect(facts.bootedAtMs).toBeGreaterThan(1e12);
  });
});
