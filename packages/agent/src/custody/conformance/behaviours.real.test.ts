import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type MemoryStream, memoryStreams, multifdChannels } from '@godwit/domain/memory-stream';
import { afterAll, expect, test } from 'vitest';
import { refOf } from '../../qemu/process-ref.ts';
import { killProcess, processAlive } from '../kill-process.ts';
import { BEHAVIOURS, type Behaviour } from './behaviours.ts';
import { StreamRelay } from './stream-relay.ts';
import { afterCancel, migrate, pause, TinyLab } from './tiny-qemu.ts';

const tested = new Set<string>();
const channelled = memoryStreams.filter((stream) => stream !== 'single');
/** Several channels are never used with the pause before the switchover: qemu/forbidden.ts, multifd-paused. */
const paused: readonly MemoryStream[] = ['single'];
/** Whatever custody relies on holds however memory is sent. */
const conforms = (behaviour: Behaviour, run: (lab: TinyLab) => Promise<void>, streams: readonly MemoryStream[] = memoryStreams): void => {
  tested.add(behaviour);
  test(`${behaviour}: ${BEHAVIOURS[behaviour]}`, { timeout: 30_000 }, async () => {
    const ends = await Promise.allSettled(
      streams.map(async (stream) => {
        await using lab = new TinyLab(stream);
        await run(lab);
      }),
    );
    expect(ends.map((end, index) => [streams[index], end.status === 'rejected' ? end.reason : 'holds'])).toEqual(
      streams.map((stream) => [stream, 'holds']),
    );
  });
};
/** Long enough for QEMU to do by itself what it must not do; nothing is waited for. */
const whileMs = 300;

conforms('incoming-waits', async (lab) => {
  const destination = await lab.listening();
  expect(await destination.now()).toEqual({ runstate: 'inmigrate', migration: 'setup' });
  const source = await lab.running();
  await migrate(source, destination, 'active');
  expect((await destination.now()).runstate).toBe('inmigrate');
});

conforms('loaded-is-paused', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  const told: string[] = [];
  destination.qmp.on(({ event }) => void told.push(event));
  await pause(whileMs);
  expect(await destination.now()).toEqual({ runstate: 'paused', migration: 'completed' });
  expect(told).toEqual([]);
  await destination.qmp.execute('cont');
  expect(told).toContain('RESUME');
});

conforms('completed-is-postmigrate', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
});

conforms('cont-in-inmigrate-arms-autostart', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination, 'active');
  await destination.qmp.execute('cont');
  expect((await destination.now()).runstate).toBe('inmigrate');
  await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0 });
  await destination.shows({ runstate: 'running' });
});

conforms('cont-on-completed-source-accepted', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate' });
  await destination.shows({ runstate: 'paused' });
  await destination.qmp.execute('cont');
  await source.qmp.execute('cont');
  expect([(await source.now()).runstate, (await destination.now()).runstate]).toEqual(['running', 'running']);
});

conforms('cancel-resumes', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination, 'active');
  await source.qmp.execute('migrate_cancel');
  await source.shows(afterCancel);
});

conforms('cancel-on-completed-is-nothing', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await source.qmp.execute('migrate_cancel');
  await pause(whileMs);
  expect(await source.now()).toEqual({ runstate: 'postmigrate', migration: 'completed' });
});

conforms('destination-death-resumes', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination, 'active');
  destination.kill();
  await source.shows({ runstate: 'running', migration: 'failed' });
});

conforms(
  'lost-channel-fails',
  async (lab) => {
    const [source, destination] = [await lab.running(), await lab.listening()];
    await using relay = await StreamRelay.between(join(lab.dir, 'relay'), destination.address);
    await migrate(source, { ...destination, address: join(lab.dir, 'relay') }, 'active');
    expect(relay.connections).toBe(1 + multifdChannels);
    relay.cutLast();
    await source.shows({ runstate: 'running', migration: 'failed' });
    await destination.exited;
  },
  channelled,
);

conforms(
  'silent-channel-never-completes',
  async (lab) => {
    const [source, destination] = [await lab.running(), await lab.listening()];
    await using relay = await StreamRelay.between(join(lab.dir, 'relay'), destination.address);
    await migrate(source, { ...destination, address: join(lab.dir, 'relay') }, 'active');
    relay.loseLast();
    await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0 });
    await source.shows({ runstate: 'finish-migrate', migration: 'device' });
    await pause(whileMs);
    // The destination's monitor does not answer: it waits for the rest.
    expect((await source.now()).migration).toBe('device');
    await source.qmp.execute('migrate_cancel');
    await source.shows(afterCancel);
  },
  channelled,
);

conforms('missing-device-fails', async (lab) => {
  const [source, destination] = [await lab.running(['-device', 'virtio-rng-pci']), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'running', migration: 'failed' });
});

conforms('failed-load-exits', async (lab) => {
  const [source, destination] = [await lab.running(['-device', 'virtio-rng-pci']), await lab.listening()];
  await migrate(source, destination);
  await destination.exited;
  expect(await destination.control.look()).toBeNull();
});

conforms('source-death-ends-incoming', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination, 'active');
  source.kill();
  await destination.exited;
});

conforms(
  'pre-switchover-nobody-runs',
  async (lab) => {
    const [source, destination] = [await lab.running(), await lab.listening()];
    await migrate(source, destination, 'pre-switchover');
    await pause(whileMs);
    expect((await source.now()).migration).toBe('pre-switchover');
    expect([(await source.now()).runstate, (await destination.now()).runstate]).not.toContain('running');
    await source.qmp.execute('migrate_cancel');
    await source.shows(afterCancel);
  },
  paused,
);

conforms(
  'pre-switchover-death-resumes',
  async (lab) => {
    const [source, destination] = [await lab.running(), await lab.listening()];
    await migrate(source, destination, 'pre-switchover');
    destination.kill();
    await destination.exited;
    await source.qmp.execute('migrate-continue', { state: 'pre-switchover' });
    await source.shows({ runstate: 'running', migration: 'failed' });
  },
  paused,
);

conforms('no-completion-before-load', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  if (lab.stream === 'single') {
    await migrate(source, destination, 'pre-switchover');
    destination.kill('SIGSTOP');
    await source.qmp.execute('migrate-continue', { state: 'pre-switchover' });
  } else {
    await migrate(source, destination, 'active');
    destination.kill('SIGSTOP');
    await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': 0 });
  }
  await pause(whileMs);
  // Its monitor may not answer while it waits for the other side: then it has not completed either.
  const shown = await Promise.race([source.now(), pause(whileMs).then(() => null)]);
  expect(shown?.migration).not.toBe('completed');
  destination.kill('SIGCONT');
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
});

conforms('paused-stays-paused', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await source.qmp.execute('stop');
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
});

conforms('shutdown-arrives-as-shutdown', async (lab) => {
  // The port of isa-debug-exit would end QEMU; -no-shutdown keeps it, and the monitor makes the guest believe that it was switched off.
  const [source, destination] = [
    await lab.running(['-no-shutdown', '-action', 'reboot=shutdown']),
    await lab.listening(['-no-shutdown', '-action', 'reboot=shutdown']),
  ];
  await source.qmp.execute('system_reset');
  await source.shows({ runstate: 'shutdown' });
  await migrate(source, destination);
  await destination.shows({ runstate: 'shutdown', migration: 'completed' });
  await expect(destination.qmp.execute('cont')).rejects.toThrow();
  expect((await destination.now()).runstate).toBe('shutdown');
});

conforms('forfeit-then-resume', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await killProcess(destination.control.process);
  await source.qmp.execute('cont');
  await source.shows({ runstate: 'running', migration: 'completed' });
});

conforms('arrived-shows-completed', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  await destination.qmp.execute('cont');
  await destination.shows({ runstate: 'running', migration: 'completed' });
});

conforms('ended-status-stays', async (lab) => {
  const [source, first] = [await lab.running(), await lab.listening()];
  await migrate(source, first, 'active');
  first.kill();
  await source.shows({ runstate: 'running', migration: 'failed' });
  await pause(whileMs);
  expect(await source.now()).toEqual({ runstate: 'running', migration: 'failed' });
  await migrate(source, await lab.listening());
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
});

conforms('paused-after-forfeit-stays-postmigrate', async (lab) => {
  const [source, destination] = [await lab.running(), await lab.listening()];
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate' });
  await source.qmp.execute('stop');
  expect((await source.now()).runstate).toBe('postmigrate');
});

// QEMU 10.0.2 was seen to do so without the capability too. Custody rests on no lock; storage on this one: see stream-setup.ts.
conforms('late-activation-waits-for-cont', async (lab) => {
  const [image, base] = [join(lab.dir, 'disk.qcow2'), join(lab.dir, 'base.raw')];
  writeFileSync(base, '');
  truncateSync(base, 1 << 20);
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', image]);
  const below = {
    driver: 'raw',
    'node-name': 'below',
    'read-only': true,
    file: { driver: 'file', filename: base, 'read-only': true, locking: 'off' },
  };
  const node = { driver: 'qcow2', 'node-name': 'disk', backing: 'below', file: { driver: 'file', filename: image, locking: 'on' } };
  const disk = ['-blockdev', JSON.stringify(below), '-blockdev', JSON.stringify(node), '-device', 'virtio-blk-pci,drive=disk'];
  // Opened for writing, which the lock of one that may write excludes.
  const isLocked = () =>
    new Promise<boolean>((resolve, reject) => {
      execFile('qemu-io', ['-f', 'raw', '-c', 'quit', image], (error, _out, why) => {
        if (error === null) resolve(false);
        else if (why.includes('lock')) resolve(true);
        else reject(new Error(why));
      });
    });
  expect(await isLocked()).toBe(false);
  const source = await lab.running(disk);
  const destination = await lab.listening(disk, true);
  expect(await isLocked()).toBe(true);
  await destination.qmp.execute('blockdev-set-active', { 'node-name': 'below', active: true });
  await migrate(source, destination);
  await source.shows({ runstate: 'postmigrate', migration: 'completed' });
  await destination.shows({ runstate: 'paused', migration: 'completed' });
  expect(await isLocked()).toBe(false);
  await destination.qmp.execute('cont');
  await destination.shows({ runstate: 'running' });
  expect(await isLocked()).toBe(true);
});

conforms(
  'zombie-is-dead',
  async (lab) => {
    // The shell turns into a sleep, which never waits for its child.
    const parent = spawn(
      'sh',
      ['-c', `qemu-system-x86_64 -M pc -nodefaults -display none -S -qmp unix:${lab.dir}/z,server=on,wait=off & echo $!; exec sleep 60`],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    try {
      const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
      const ref = refOf(Number(line));
      if (ref === undefined) throw new Error('QEMU did not start');
      for (const until = performance.now() + 5_000; readFileSync(`/proc/${parent.pid}/comm`, 'utf8').trim() !== 'sleep'; await pause(2))
        if (performance.now() > until) throw new Error('the shell has not become a sleep');
      await killProcess(ref);
      expect(process.kill(ref.pid, 0)).toBe(true);
      expect(processAlive(ref)).toBe(false);
    } finally {
      parent.kill('SIGKILL');
      await once(parent, 'exit');
    }
  },
  ['single'],
);

afterAll(() => {
  expect(Object.keys(BEHAVIOURS).filter((behaviour) => !tested.has(behaviour))).toEqual([]);
});
