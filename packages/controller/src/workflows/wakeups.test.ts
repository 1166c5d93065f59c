import { describe, expect, it } from 'vitest';
import { createWakeups } from './wakeups.ts';

const never = new AbortController().signal;

describe('wakeups', () => {
  it('wakes every waiter of the subject, and no other', async () => {
    const wakeups = createWakeups();
    const woken: string[] = [];
    const waits = ['a', 'b'].map((waiter) => wakeups.wait('s', waiter, never).then(() => woken.push(waiter)));
    const stop = new AbortController();
    const other = wakeups.wait('t', 'c', stop.signal).then(() => woken.push('c'));
    wakeups.wake('s');
    await Promise.all(waits);
    expect(woken.toSorted()).toEqual(['a', 'b']);
    stop.abort();
    await other;
  });

  it('keeps a wake for a known waiter that did not wait just then, once', async () => {
    const wakeups = createWakeups();
    wakeups.wake('s');
    wakeups.know('s', 'a');
    wakeups.wake('s');
    wakeups.wake('s');
    await wakeups.wait('s', 'a', never);
    const stop = new AbortController();
    let woken = false;
    const again = wakeups.wait('s', 'a', stop.signal).then(() => {
      woken = true;
    });
    await Promise.resolve();
    expect(woken).toBe(false);
    wakeups.forget('s', 'a');
    wakeups.wake('s');
    await Promise.resolve();
    expect(woken).toBe(false);
    stop.abort();
    await again;
  });
});
