import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Queued, queuePosition, whoMayBegin, whoMayCopy } from './queue.ts';

const limits = { outgoingPerHost: 1, incomingPerHost: 1, total: 1_000, preparedAhead: 0 };
const one = (api_id: number, phase: string, source: string, destination: string, prepared = false): Queued => ({
  id: `m${api_id}`,
  api_id,
  phase,
  prepared,
  source,
  destination,
});

describe('whoMayBegin', () => {
  it('lets one move out of and one into each host', () => {
    const queue = [
      one(1, 'copying', 'a', 'b'),
      one(2, 'queued', 'a', 'c'),
      one(3, 'queued', 'c', 'b'),
      one(4, 'queued', 'b', 'a'),
      one(5, 'queued', 'd', 'a'),
    ];
    expect(whoMayBegin(queue, limits)).toEqual(['m4']);
  });

  it('does not let a move that cannot run hold up others', () => {
    const queue = [one(1, 'copying', 'x', 'b'), one(2, 'queued', 'a', 'b'), one(3, 'queued', 'a', 'c')];
    expect(whoMayBegin(queue, limits)).toEqual(['m3']);
  });

  it('keeps every limit, and never leaves a move waiting that could run', () => {
    const host = fc.constantFrom('a', 'b', 'c', 'd');
    const queues = fc.array(
      fc.record({ phase: fc.constantFrom('queued', 'copying', 'preparing', 'switchover'), source: host, destination: host }),
      { maxLength: 12 },
    );
    const bounds = fc.record({
      outgoingPerHost: fc.integer({ min: 1, max: 3 }),
      incomingPerHost: fc.integer({ min: 1, max: 3 }),
      total: fc.integer({ min: 1, max: 8 }),
      preparedAhead: fc.constant(0),
    });
    fc.assert(
      fc.property(queues, bounds, (moves, most) => {
        const queue = moves.map((move, index) => one(index, move.phase, move.source, move.destination));
        const begin = new Set(whoMayBegin(queue, most));
        const running = queue.filter((move) => move.phase !== 'queued' || begin.has(move.id));
        const fits = (list: readonly Queued[], added: Queued) =>
          list.length < most.total &&
          list.filter((move) => move.source === added.source).length < most.outgoingPerHost &&
          list.filter((move) => move.destination === added.destination).length < most.incomingPerHost;
        const before = queue.filter((move) => move.phase !== 'queued');
        for (const move of queue) {
          if (!begin.has(move.id)) continue;
          expect(fits(before, move)).toBe(true);
          before.push(move);
        }
        for (const move of queue) if (move.phase === 'queued' && !begin.has(move.id)) expect(fits(running, move)).toBe(false);
      }),
    );
  });
});

describe('preparing ahead', () => {
  const ahead = { ...limits, preparedAhead: 1 };

  it('prepares one more per link while one copies, and lets it copy when the link is free', () => {
    const queue = [one(1, 'copying', 'a', 'b'), one(2, 'queued', 'a', 'c'), one(3, 'queued', 'a', 'd')];
    expect(whoMayBegin(queue, ahead)).toEqual(['m2']);
    const prepared = [one(1, 'copying', 'a', 'b'), one(2, 'preparing', 'a', 'c', true), one(3, 'queued', 'a', 'd')];
    expect(whoMayCopy(prepared, ahead)).toEqual([]);
    expect(whoMayCopy(prepared.slice(1), ahead)).toEqual(['m2']);
    expect(queuePosition(prepared, 'm2')).toBe(1);
    expect(queuePosition(prepared, 'm3')).toBe(2);
  });

  it('lets a prepared move past an older one that is not ready', () => {
    const queue = [one(1, 'preparing', 'a', 'b'), one(2, 'preparing', 'a', 'c', true)];
    expect(whoMayCopy(queue, ahead)).toEqual(['m2']);
  });

  it('never lets more copy than the limits say, whatever is prepared', () => {
    const host = fc.constantFrom('a', 'b', 'c');
    const moves = fc.array(
      fc.record({
        phase: fc.constantFrom('queued', 'copying', 'preparing', 'switchover'),
        source: host,
        destination: host,
        prepared: fc.boolean(),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(moves, fc.integer({ min: 0, max: 2 }), (some, preparedAhead) => {
        const before = some.map((move, index) => one(index, move.phase, move.source, move.destination, move.prepared));
        const may = new Set(whoMayCopy(before, { ...limits, preparedAhead }));
        const copying = before.filter(({ id, phase }) => may.has(id) || phase === 'copying' || phase === 'switchover');
        for (const id of may) {
          const move = before.find((other) => other.id === id);
          expect(move).toMatchObject({ phase: 'preparing', prepared: true });
          expect(copying.filter(({ source }) => source === move?.source)).toHaveLength(1);
          expect(copying.filter(({ destination }) => destination === move?.destination)).toHaveLength(1);
        }
      }),
    );
  });
});

describe('queuePosition', () => {
  it('counts those that wait for one of the same links, oldest first', () => {
    const queue = [one(1, 'copying', 'a', 'b'), one(2, 'queued', 'a', 'c'), one(3, 'queued', 'd', 'e'), one(4, 'queued', 'a', 'e')];
    expect(queuePosition(queue, 'm2')).toBe(1);
    expect(queuePosition(queue, 'm4')).toBe(3);
    expect(queuePosition(queue, 'm1')).toBeNull();
  });
});
