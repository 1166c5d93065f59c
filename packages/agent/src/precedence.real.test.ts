import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Precedence } from './precedence.ts';

/** Field 41 of /proc/PID/stat: the scheduling policy; 0 is ordinary, 2 round robin. */
const policyOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[38]);

const child = (): number => {
  const sleeper = spawn('sleep', ['30']);
  onTestFinished(() => void sleeper.kill('SIGKILL'));
  return sleeper.pid ?? 0;
};

test('the agent is real-time while any move needs it, and what it starts never is', async () => {
  const warn = vi.fn<() => void>();
  const precedence = new Precedence(true, { warn });
  const ends = [precedence.ofAgent(), precedence.ofAgent()];
  onTestFinished(() => ends.forEach((end) => end()));
  await expect.poll(() => policyOf(process.pid)).toBe(2);
  expect(policyOf(child())).toBe(0);
  ends[0]?.();
  ends[0]?.();
  expect(policyOf(process.pid)).toBe(2);
  ends[1]?.();
  await expect.poll(() => policyOf(process.pid)).toBe(0);
  expect(warn).not.toHaveBeenCalled();
});

test('a guest is favoured for a while, with all its threads, and is as before afterwards', () => {
  const precedence = new Precedence(true, { warn: vi.fn<() => void>() });
  const pid = child();
  const before = getPriority(pid);
  const end = precedence.ofGuest(pid);
  expect(readdirSync(`/proc/${pid}/task`).map((thread) => getPriority(Number(thread)))).toEqual([-10]);
  end();
  expect(getPriority(pid)).toBe(before);
  precedence.ofGuest(pid);
  precedence.ordinary(pid);
  expect(getPriority(pid)).toBe(Math.max(0, getPriority()));
});

test('where it is switched off nothing is changed', async () => {
  const precedence = new Precedence(false, { warn: vi.fn<() => void>() });
  const pid = child();
  const before = getPriority(pid);
  precedence.ofAgent();
  precedence.ofGuest(pid);
  expect([getPriority(pid), policyOf(process.pid)]).toEqual([before, 0]);
});
