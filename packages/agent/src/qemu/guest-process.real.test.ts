import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import { readLetters } from './boot-sector.ts';
import { readConsole } from './console-log.ts';
import type { GuestFact } from './guest-fact.ts';
import { adoptGuests, findProcess, type GuestProcess, type StartOptions, startGuest } from './guest-process.ts';
import { watchGuest } from './guest-watch.ts';
import { isAlive, refOf } from './process-ref.ts';
import { connectQmp, QmpTimeout } from './qmp-client.ts';
import { runDir } from './run-dir.ts';
import { throwawayGuest } from './throwaway-guest.ts';

let stateDir: string;
let spec: GuestSpec;
const guests: GuestProcess[] = [];

beforeEach(async () => {
  stateDir = mkdtempSync('/tmp/gw-q-');
  spec = await throwawayGuest(stateDir, { accelerator: 'tcg', machineType: 'pc-q35-10.0', cpuModel: 'Nehalem-v1' });
});
afterEach(async () => {
  for (const guest of guests.splice(0)) await throwawayGate.discard(guest);
  const left = findProcess(runDir(stateDir, spec.serverId));
  if (left) process.kill(left.pid, 'SIGKILL');
  rmSync(stateDir, { recursive: true });
});

const options = (): StartOptions => ({
  qemuBinary: 'qemu-system-x86_64',
  stateDir,
  epoch: 1,
  incoming: false,
  imageLocking: true,
  sandbox: true,
  vhostNet: false,
  tls: [],
  deadlineMs: 10_000,
});
const sector = (code: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(512);
  Buffer.from(code).copy(bytes);
  bytes.writeUInt16LE(0xaa55, 510);
  return bytes;
};
/** Replaces the first sector of the guest's boot disk. */
const bootFrom = (code: readonly number[]): void => {
  const file = openSync(spec.disks[0]?.path ?? '', 'r+');
  writeSync(file, sector(code), 0, 512, 0);
  closeSync(file);
};
const start = async (changed: Partial<GuestSpec> = {}, more: Partial<StartOptions> = {}): Promise<GuestProcess> => {
  const guest = await startGuest({ ...spec, ...changed }, { ...options(), ...more });
  guests.push(guest);
  return guest;
};

async function eventually<T>(what: string, probe: () => Promise<T | undefined> | T | undefined, deadlineMs = 15_000): Promise<T> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > until) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a QEMU of ours', () => {
  test('starts stopped, runs when told, counts aloud, and stops counting when paused', async () => {
    const guest = await start();
    expect(guest.qmp.oob && guest.oob.oob).toBe(true);
    expect(await guest.qmp.execute('query-status')).toMatchObject({ running: false, status: 'prelaunch' });
    await throwawayGate.run(guest);
    const text = await eventually('letters', async () => {
      const log = (await readConsole(guest.run.consoleDir, 65_536, 0)).toString();
      return log.length > 20 ? log : undefined;
    });
    expect(readLetters(text)).toMatchObject({ kind: 'whole' });
    const stopped = guest.qmp.next((event) => event.event === 'STOP', 10_000);
    const before = Date.now();
    await guest.qmp.execute('stop');
    const event = await stopped;
    expect(event.timestampMs).toBeGreaterThanOrEqual(before - 1);
    expect(event.timestampMs).toBeLessThanOrEqual(Date.now() + 1);
    expect(event.receivedAtMs).toBeGreaterThanOrEqual(event.timestampMs - 0.5);
  });

  test('is a session of its own, with our seccomp filter', async () => {
    const guest = await start();
    expect(execFileSync('ps', ['-o', 'sid=', '-p', String(guest.ref.pid)], { encoding: 'utf8' }).trim()).toBe(String(guest.ref.pid));
    expect(execFileSync('grep', ['Seccomp:', `/proc/${guest.ref.pid}/status`], { encoding: 'utf8' })).toMatch(/2$/m);
  });

  test('a second one of the same guest is refused while the first lives, and the first is unharmed', async () => {
    const guest = await start();
    await expect(startGuest(spec, options())).rejects.toMatchObject({ code: 'Conflict' });
    expect(await guest.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
  });

  test('what QEMU says when it refuses is the cause', async () => {
    await expect(start({ cpuModel: 'Skylake-Server-v5' })).rejects.toMatchObject({
      code: 'GuestStartFailed',
      message: expect.stringMatching(/features/),
    });
    await expect(start({ machineType: 'pc-q35-99.0' })).rejects.toMatchObject({
      code: 'GuestStartFailed',
      message: expect.stringMatching(/pc-q35-99\.0|machine/),
    });
    await expect(start({}, { qemuBinary: '/nonexistent/qemu' })).rejects.toMatchObject({
      code: 'GuestStartFailed',
      message: expect.stringMatching(/ENOENT/),
    });
  });

  test('a monitor in use gives no greeting to a second client', async () => {
    const guest = await start();
    await expect(connectQmp(guest.run.qmpSocket, { deadlineMs: 100 })).rejects.toBeInstanceOf(QmpTimeout);
  });
});

describe('adoption', () => {
  test('a guest started by an agent that is then killed lives on, is adopted with its pid, and its death is noticed', async () => {
    // A process of its own plays the agent: starts the guest, runs it, tells us, and is killed.
    const script = `
      import { startGuest } from ${JSON.stringify(new URL('./guest-process.ts', import.meta.url).href)};
      const guest = await startGuest(${JSON.stringify(spec)}, ${JSON.stringify(options())});
      await guest.qmp.execute('cont');
      console.log(guest.ref.pid);
      setInterval(() => {}, 1000);`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(agent.stdout, 'data')) as [Buffer];
    agent.kill('SIGKILL');
    await once(agent, 'exit');

    const adoptions = await adoptGuests(stateDir, 20_000);
    expect(adoptions).toHaveLength(1);
    const adoption = adoptions[0];
    if (adoption?.kind !== 'adopted') throw new Error(`not adopted: ${JSON.stringify(adoption)}`);
    guests.push(adoption.process);
    expect(adoption.process.ref.pid).toBe(Number(line.toString()));
    expect(adoption.process.spec).toEqual(spec);
    const facts: GuestFact[] = [];
    watchGuest(adoption.process, (fact) => facts.push(fact));
    await eventually('running', () => facts.find((fact) => fact.kind === 'running'));
    process.kill(adoption.process.ref.pid, 'SIGKILL');
    expect(await adoption.process.ended).toMatchObject({ kind: 'vanished' });
    expect(isAlive(adoption.process.ref)).toBe(false);
    await eventually('death', () => facts.find((fact) => fact.kind === 'died'));
  });

  test('so is one whose agent was killed before it had asked for its monitors, and QEMU’s waiting for them is no cause of its end', async () => {
    const script = `
      import net from 'node:net';
      net.Socket.prototype.connect = () => new net.Socket();
      const { startGuest } = await import(${JSON.stringify(new URL('./guest-process.ts', import.meta.url).href)});
      await startGuest(${JSON.stringify(spec)}, ${JSON.stringify(options())});`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    const run = runDir(stateDir, spec.serverId);
    const waits = await eventually('a QEMU that waits', () =>
      existsSync(run.qemuLog) && readFileSync(run.qemuLog, 'utf8').includes('waiting for connection') ? findProcess(run) : undefined,
    );
    agent.kill('SIGKILL');
    await once(agent, 'exit');

    const [adoption] = await adoptGuests(stateDir, 20_000);
    if (adoption?.kind !== 'adopted') throw new Error(`not adopted: ${JSON.stringify(adoption)}`);
    guests.push(adoption.process);
    expect(adoption.process.ref).toEqual(waits);
    expect(await adoption.process.qmp.execute('query-status')).toMatchObject({ running: false });
    process.kill(waits.pid, 'SIGKILL');
    expect(await adoption.process.ended).toMatchObject({ kind: 'vanished', lastLines: [] });
  });

  test('a process is found by its command line when its pid was never recorded, and gone is gone', async () => {
    const guest = await start();
    rmSync(guest.run.pidFile);
    expect(findProcess(guest.run)).toEqual(guest.ref);
    await throwawayGate.discard(guest);
    guests.length = 0;
    expect(await adoptGuests(stateDir, 20_000)).toMatchObject([{ kind: 'gone', name: spec.serverId }]);
  });

  test('another process with the same pid is not the same process', () => {
    const me = refOf(process.pid);
    expect(me && isAlive(me)).toBe(true);
    expect(me && isAlive({ ...me, startTicks: me.startTicks - 1 })).toBe(false);
    expect(me && isAlive({ ...me, kernelBootId: 'another boot' })).toBe(false);
  });
});

describe('guest facts', () => {
  test('pause and a kill are told, the kill with its cause', async () => {
    const guest = await start();
    const facts: GuestFact[] = [];
    watchGuest(guest, (fact) => facts.push(fact));
    await eventually('prelaunch', () => facts.find((fact) => fact.kind === 'prelaunch'));
    await throwawayGate.run(guest);
    await eventually('running', () => facts.find((fact) => fact.kind === 'running'));
    await guest.qmp.execute('stop');
    await eventually('paused', () => facts.find((fact) => fact.kind === 'paused'));
    await throwawayGate.discard(guest);
    guests.length = 0;
    const death = await eventually('death', () => facts.find((fact) => fact.kind === 'died'));
    expect(death).toMatchObject({ clean: false, cause: expect.stringMatching(/SIGKILL/) });
    expect(facts.map((fact) => fact.kind)).toEqual(['prelaunch', 'running', 'paused', 'died']);
  });

  test('a guest that powers itself off stays, stopped, as powered off; also for whoever looks later', async () => {
    // mov dx,0x604; mov ax,0x2000; out dx,ax: the ACPI power-off of q35.
    bootFrom([0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4]);
    const guest = await start();
    const facts: GuestFact[] = [];
    watchGuest(guest, (fact) => facts.push(fact));
    await throwawayGate.run(guest);
    expect(await eventually('power-off', () => facts.find((fact) => fact.kind === 'powered-off'))).toMatchObject({
      byGuest: true,
      reason: 'guest-shutdown',
    });
    await eventually(
      'stopped',
      async () => ((await guest.qmp.execute('query-status')) as { status: string }).status === 'shutdown' || undefined,
    );
    expect(isAlive(guest.ref)).toBe(true);
    const later: GuestFact[] = [];
    watchGuest(guest, (fact) => later.push(fact));
    await eventually('found powered off', () => later.find((fact) => fact.kind === 'powered-off'));
    expect(facts.map((fact) => fact.kind)).not.toContain('paused');
  });

  test('a guest that resets itself is told as such and runs on', async () => {
    // Writes 0x06 to the reset control register, port 0xcf9.
    bootFrom([0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4]);
    const guest = await start();
    const facts: GuestFact[] = [];
    watchGuest(guest, (fact) => facts.push(fact));
    await throwawayGate.run(guest);
    const resets = await eventually('two resets', () => {
      const found = facts.filter((fact) => fact.kind === 'reset');
      return found.length >= 2 ? found : undefined;
    });
    expect(resets[0]).toMatchObject({ byGuest: true, reason: 'guest-reset' });
  });

  test('a disk that is full stops the guest with the coded reason', async () => {
    const mount = `${stateDir}/full`;
    mkdirSync(mount);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', mount]);
    try {
      // Writes one sector in eight by INT 13h (AH=43) until the pool has no room: the address packet is at 0x7c40.
      const code = [
        0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x40, 0x7c, 0xb4, 0x43, 0xb0, 0x00, 0xb2, 0x80, 0xcd, 0x13, 0x83, 0x06, 0x48, 0x7c, 0x08, 0xeb, 0xee,
      ];
      const packet = [0x10, 0x00, 0x01, 0x00, 0x00, 0x7c, 0x00, 0x00, 0x08, 0, 0, 0, 0, 0, 0, 0];
      const path = `${mount}/disk.img`;
      writeFileSync(path, sector([...code, ...Array.from<number>({ length: 0x40 - code.length }).fill(0x90), ...packet]));
      truncateSync(path, 2 * 1024 * 1024);
      const guest = await start({ disks: spec.disks.map((disk) => ({ ...disk, rbd: undefined, path, readOnly: false })) });
      const facts: GuestFact[] = [];
      watchGuest(guest, (fact) => facts.push(fact));
      await throwawayGate.run(guest);
      expect(await eventually('io-error', () => facts.find((fact) => fact.kind === 'io-error'))).toMatchObject({ noSpace: true });
      await eventually(
        'stopped',
        async () => ((await guest.qmp.execute('query-status')) as { status: string }).status === 'io-error' || undefined,
      );
      await throwawayGate.discard(guest);
      guests.length = 0;
    } finally {
      execFileSync('umount', ['-l', mount]);
    }
  });

  test('a zombie is dead', async () => {
    // A shell that never waits for its child.
    const shell = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [line] = (await once(shell.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    try {
      // A child that dies before may have been waited for by the shell.
      await eventually('a shell that is none', () => (readFileSync(`/proc/${shell.pid}/comm`, 'utf8') === 'sleep\n' ? true : undefined));
      process.kill(pid, 'SIGKILL');
      await eventually('zombie', () => (refOf(pid) === undefined ? true : undefined));
      expect(() => process.kill(pid, 0)).not.toThrow();
    } finally {
      shell.kill('SIGKILL');
      await once(shell, 'exit');
    }
  });
});

describe('the console log', () => {
  test('lies where the spec says, one segment per process, and is read as one text after adoption too', async () => {
    const consoleDir = `${stateDir}/shared/console`;
    const counting = async (epoch: number): Promise<GuestProcess> => {
      const guest = await start({ consoleDir }, { epoch });
      const before = (await readConsole(consoleDir, 65_536, 0)).length;
      await throwawayGate.run(guest);
      await eventually('letters', async () => ((await readConsole(consoleDir, 65_536, 0)).length > before + 3 ? true : undefined));
      return guest;
    };
    await throwawayGate.discard(await counting(1));
    const first = (await readConsole(consoleDir, 65_536, 0)).toString();
    const second = await counting(2);
    expect(readdirSync(consoleDir).sort()).toEqual(['0000000000000001.log', '0000000000000002.log']);
    expect((await readConsole(consoleDir, 65_536, 0)).toString().startsWith(`${first}B`)).toBe(true);
    await Promise.all([second.qmp.close(), second.oob.close()]);
    const [adoption] = await adoptGuests(stateDir, 20_000);
    if (adoption?.kind !== 'adopted') throw new Error('not adopted');
    guests.splice(0, guests.length, adoption.process);
    expect(adoption.process.run.consoleDir).toBe(consoleDir);
  });
});
