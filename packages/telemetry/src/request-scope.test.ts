import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { currentScope, receiveScope, scopeOfLine, sendScope, withinScope } from './request-scope.ts';

const scope = { requestId: 'req-1', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };

describe('the scope of a request', () => {
  it('holds after awaits and in what was left running, and nowhere else', async () => {
    const seen: (string | undefined)[] = [];
    const look = async () => {
      await delay(1);
      seen.push(currentScope()?.requestId);
    };
    await Promise.all([withinScope(scope, look), look(), withinScope({ ...scope, requestId: 'req-2' }, look)]);
    expect(seen.sort()).toEqual(['req-1', 'req-2', undefined]);
    expect(withinScope(scope, scopeOfLine)).toEqual({ requestId: 'req-1' });
    expect(scopeOfLine()).toEqual({});
  });

  it('crosses a call by its headers', () => {
    const headers = new Headers();
    withinScope(scope, () => sendScope(headers));
    expect(receiveScope(headers)).toEqual(scope);
    expect(receiveScope(new Headers())).toBeNull();
    expect(receiveScope(new Headers({ 'godwit-request-id': 'req-1"}\n{"forged":1'.replaceAll('\n', ' ') }))).toBeNull();
    expect(receiveScope(new Headers({ 'godwit-request-id': 'req-1', traceparent: 'nonsense' }))).toEqual({
      requestId: 'req-1',
      traceparent: null,
    });
  });
});
