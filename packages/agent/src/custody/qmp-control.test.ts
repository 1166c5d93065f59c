import { expect, test } from 'vitest';
import { refOf } from '../qemu/process-ref.ts';
import type { QmpEvent } from '../qemu/qmp-client.ts';
import { qmpControl } from './qmp-control.ts';

/** A monitor whose answers are set by the test, with how often it was asked. */
function monitor() {
  const listeners = new Set<(event: QmpEvent) => void>();
  const shown = { status: 'paused', migration: 'completed' };
  const asked: string[] = [];
  return {
    shown,
    asked,
    tell: (event: string) => listeners.forEach((listener) => listener({ event, data: {}, timestampMs: 0, receivedAtMs: 0 })),
    execute: async (command: string): Promise<unknown> => {
      asked.push(command);
      const answer = command === 'query-migrate' ? { status: shown.migration } : { status: shown.status };
      return Promise.resolve(answer);
    },
    on: (listener: (event: QmpEvent) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

const self = refOf(process.pid);
if (!self) throw new Error('this process has no reference');
const loaded = { runstate: 'paused', migration: 'completed' };

test('a QEMU that was seen loaded is not asked again until something happens to it', async () => {
  const qmp = monitor();
  const control = qmpControl({ ref: self, qmp });
  expect([await control.look(), await control.look()]).toEqual([loaded, loaded]);
  expect(qmp.asked).toHaveLength(2);
  qmp.shown.status = 'running';
  qmp.tell('RESUME');
  expect(await control.look()).toEqual({ runstate: 'running', migration: 'completed' });
});

test('what an order may have changed is looked at', async () => {
  const qmp = monitor();
  const control = qmpControl({ ref: self, qmp });
  await control.look();
  await control.cont();
  qmp.asked.length = 0;
  await control.look();
  expect(qmp.asked).toEqual(['query-migrate', 'query-status']);
});

test.each([
  ['inmigrate', 'active'],
  ['running', 'completed'],
  ['postmigrate', 'completed'],
  ['paused', 'none'],
])('a QEMU in %s, its migration %s, is looked at each time', async (status, migration) => {
  const qmp = monitor();
  Object.assign(qmp.shown, { status, migration });
  const control = qmpControl({ ref: self, qmp });
  await control.look();
  await control.look();
  expect(qmp.asked).toHaveLength(4);
});

test('an event while QEMU is being asked: the answer may be older than it, and is not kept', async () => {
  const qmp = monitor();
  const control = qmpControl({ ref: self, qmp });
  const looking = control.look();
  qmp.tell('STOP');
  await looking;
  await control.look();
  expect(qmp.asked).toHaveLength(4);
});

test('a process that has died is dead, whatever it showed', async () => {
  const qmp = monitor();
  const control = qmpControl({ ref: { ...self, startTicks: self.startTicks + 1 }, qmp });
  await control.look();
  qmp.execute = () => Promise.reject(new Error('gone'));
  expect(await control.look()).toBeNull();
});
