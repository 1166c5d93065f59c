import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { setGuestTime } from './guest-agent.ts';

type Question = { readonly execute: string; readonly arguments?: { readonly id?: number; readonly time?: number } };
type Peer = (question: Question, line: string) => string | null;

const servers: Server[] = [];
const held: Socket[] = [];
/** With its agents; a listening socket's file goes with it. */
async function closeAll(): Promise<void> {
  for (const socket of held.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
}
afterEach(closeAll);

let number = 0;
/** A guest agent as its protocol has it: `answer` says what goes back for a question; null: nothing does. */
async function agent(answer: Peer, greeting = ''): Promise<string> {
  number += 1;
  const path = join(tmpdir(), `gw-qga-${process.pid}-${number}.sock`);
  await rm(path, { force: true });
  const server = createServer((socket) => {
    held.push(socket);
    socket.on('error', () => undefined);
    if (greeting !== '') socket.write(greeting, 'latin1');
    let rest = '';
    socket.on('data', (data) => {
      rest += data.toString('latin1');
      for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
        const line = rest.slice(rest.lastIndexOf('\xff', end) + 1, end);
        rest = rest.slice(end + 1);
        const back = answer(JSON.parse(line) as Question, line);
        if (back === '') socket.destroy();
        else if (back !== null) socket.write(back, 'latin1');
      }
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

const returned = (value: unknown): string => `{"return": ${JSON.stringify(value)}}\n`;
const failed = (desc: string): string => `{"error": {"class": "GenericError", "desc": ${JSON.stringify(desc)}}}\n`;

/** A guest whose clock is `driftMs` off, and what it says when it is told to set it. */
function guest(driftMs: number, onSet?: () => string): { readonly answer: Peer; readonly set: string[] } {
  let drift = driftMs;
  const set: string[] = [];
  const answer: Peer = ({ execute, arguments: given = {} }, line) => {
    if (execute === 'guest-sync-delimited') return `\xff${returned(given.id)}`;
    if (execute === 'guest-get-time') return `{"return": ${BigInt(Math.round((Date.now() + drift) * 1000)) * 1000n}}\n`;
    if (execute !== 'guest-set-time') return failed('no such command');
    set.push(line);
    const said = onSet?.();
    if (said === undefined || said.includes('hwclock')) drift = (given.time ?? 0) / 1e6 - Date.now();
    return said ?? returned({});
  };
  return { answer, set };
}
const sync = (path: string, limitMs?: number) => setGuestTime(path, () => Date.now(), limitMs === undefined ? {} : { limitMs });

describe('setGuestTime', () => {
  test('sets a clock that is behind, or ahead, and reads it again', async () => {
    for (const drift of [-40_000, 7_200_000]) {
      const one = guest(drift);
      const result = await sync(await agent(one.answer));
      expect(result).toMatchObject({ outcome: 'set', detail: '' });
      expect(Math.abs((result.driftBeforeMs ?? 0) - drift)).toBeLessThan(1_000);
      expect(Math.abs(result.driftAfterMs ?? Number.NaN)).toBeLessThan((result.errorMs ?? 0) + 6);
      expect(one.set).toHaveLength(1);
      // All digits of the nanoseconds, none of them in another notation.
      expect(one.set[0]).toMatch(/"time":\d{19}\}/);
    }
  });

  test('changes nothing where the clock is right as far as can be told', async () => {
    const one = guest(0);
    expect(await sync(await agent(one.answer))).toMatchObject({ outcome: 'right', driftAfterMs: null, detail: '' });
    expect(one.set).toEqual([]);
  });

  test('does not believe an agent that says it has set the clock', async () => {
    const result = await sync(await agent(guest(-60_000, () => returned({})).answer));
    expect(result).toMatchObject({ outcome: 'not-set', detail: 'the agent said that it has set the clock' });
    expect(result.driftAfterMs).toBeLessThan(-59_000);
  });

  test('tells what an agent says that may not, and that one set the clock without a hwclock', async () => {
    const barred = await sync(await agent(guest(-60_000, () => failed('guest-set-time has been disabled')).answer));
    expect(barred).toMatchObject({ outcome: 'not-set', detail: "the guest's agent on guest-set-time: guest-set-time has been disabled" });
    const bare = await sync(await agent(guest(-60_000, () => failed('hwclock failed to set hardware clock to system time')).answer));
    expect(bare).toMatchObject({ outcome: 'set', detail: expect.stringContaining('hwclock failed') as string });
  });

  test('throws away what an earlier conversation has left, and no order goes to who does not answer the sync', async () => {
    const one = guest(-60_000);
    const stale = `${returned(17)}half an answer\xff${returned(4)}`;
    expect(await sync(await agent(one.answer, stale))).toMatchObject({ outcome: 'set' });
    const asked: string[] = [];
    const wrong = await agent(({ execute }) => {
      asked.push(execute);
      return `\xff${returned(1)}`;
    });
    expect(await sync(wrong, 60)).toMatchObject({ outcome: 'no-answer', detail: expect.stringContaining('within 60 ms') as string });
    expect(asked.filter((one) => one !== 'guest-sync-delimited')).toEqual([]);
  });

  test('ends in time, and says why, when the agent is silent, falls silent, hangs up, floods or talks nonsense', async () => {
    const detail = async (answer: Peer, limitMs?: number) => {
      const { outcome, driftBeforeMs, detail: said } = await sync(await agent(answer), limitMs);
      return { outcome, known: driftBeforeMs !== null, said };
    };
    const { answer } = guest(-60_000);
    const only =
      (other: string | null, from: string): Peer =>
      (question, line) =>
        question.execute === from ? other : answer(question, line);
    const none = { outcome: 'no-answer', known: false };
    expect(await detail(() => null, 60)).toMatchObject({ ...none, said: expect.stringContaining('within 60 ms') as string });
    expect(await detail(only('', 'guest-get-time'))).toMatchObject({ ...none, said: expect.stringContaining('closed') as string });
    expect(await detail(only(`${'x'.repeat(70_000)}`, 'guest-get-time'))).toMatchObject({
      ...none,
      said: "the guest's agent sent more than 65536 bytes",
    });
    expect(await detail(only('{"event": 1}\n', 'guest-get-time'))).toMatchObject({
      ...none,
      said: expect.stringContaining('guest-get-time as its protocol has it') as string,
    });
    expect(await detail(only(returned('noon'), 'guest-get-time'))).toMatchObject({
      ...none,
      said: expect.stringContaining('tells no time: "noon"') as string,
    });
    // What it was told to do may still be done: that is neither set nor not set, and what was read before stands in the record.
    const open = { outcome: 'unsure', known: true, said: expect.stringContaining('may still be carried out') as string };
    expect(await detail(only('', 'guest-set-time'))).toMatchObject(open);
    expect(await detail(only(null, 'guest-set-time'), 300)).toMatchObject(open);
    expect(await detail(only('{"event": 1}\n', 'guest-set-time'))).toMatchObject(open);
    // This one was answered: the reading after it was not.
    let told = false;
    const mute: Peer = (question, line) => {
      if (told && question.execute === 'guest-get-time') return '';
      told ||= question.execute === 'guest-set-time';
      return answer(question, line);
    };
    expect(await detail(mute)).toMatchObject({ outcome: 'not-set', known: true });
    expect(await sync('/nonexistent/qga.sock')).toMatchObject({
      outcome: 'no-answer',
      detail: expect.stringContaining('ENOENT') as string,
    });
  });

  test('says what the guest says in few characters that a terminal and a database can take', async () => {
    const evil = `\u001b]0;owned\u0007\u001b[2J\u0000\ud800${'x'.repeat(30_000)}`;
    const replies = [
      failed(evil),
      `{"error": {"class": {"desc": "no text"}, "desc": 7}}\n`,
      returned(evil),
      `${evil.replaceAll('\ud800', '')}\n`,
    ];
    for (const reply of replies)
      for (const from of ['guest-get-time', 'guest-set-time']) {
        const { answer } = guest(-60_000);
        const { detail } = await sync(await agent((question, line) => (question.execute === from ? reply : answer(question, line))));
        expect(detail).not.toMatch(/\p{Cc}/u);
        expect(detail.isWellFormed()).toBe(true);
        expect(detail.length).toBeLessThanOrEqual(200);
        expect(detail).toMatch(/agent/);
      }
  });

  test('a guest that floods keeps nobody waiting: what is taken of it is little, and others have their turn', async () => {
    for (const [piece, bound] of [
      ['\n', '64 lines'],
      ['\xff\n', '64 lines'],
      [`${'x'.repeat(2_000)}\n`, '65536 bytes'],
    ] as const) {
      const chunk = Buffer.from(piece.repeat(Math.ceil(60_000 / piece.length)), 'latin1');
      const worstMs: number[] = [];
      // The shortest of three: a machine that is busy elsewhere has the process stand still too.
      for (let turn = 0; turn < 3; turn += 1) {
        const path = await agent(() => null);
        servers[0]?.removeAllListeners('connection').on('connection', (socket: Socket) => {
          held.push(socket);
          socket.on('error', () => undefined);
          const pour = (): void => {
            while (!socket.destroyed && socket.write(chunk));
          };
          socket.on('drain', pour);
          pour();
        });
        let [last, worst, over] = [performance.now(), 0, false];
        const look = (): void => {
          const now = performance.now();
          [worst, last] = [Math.max(worst, now - last), now];
          if (!over) setImmediate(look);
        };
        setImmediate(look);
        const result = await sync(path);
        over = true;
        expect(result).toMatchObject({ outcome: 'no-answer', detail: expect.stringContaining(bound) as string });
        worstMs.push(worst);
        await closeAll();
      }
      expect(Math.min(...worstMs)).toBeLessThan(100);
    }
  });

  test('sets nothing by a clock that is in doubt, and sets none back by little', async () => {
    const behind = guest(-60_000);
    expect(await setGuestTime(await agent(behind.answer), () => Date.now(), { doubt: 'nobody sets it' })).toMatchObject({
      outcome: 'not-set',
      detail: 'nobody sets it',
      driftAfterMs: null,
    });
    const ahead = guest(60);
    const left = await sync(await agent(ahead.answer));
    expect(left).toMatchObject({ outcome: 'not-set', detail: expect.stringContaining('100 ms') as string });
    expect(left.driftBeforeMs).toBeGreaterThan(10);
    expect([...behind.set, ...ahead.set]).toEqual([]);
  });

  test('has one conversation at a time with a guest: who asks meanwhile gets its result', async () => {
    const one = guest(-60_000);
    const path = await agent(one.answer);
    const both = await Promise.all([sync(path), sync(path)]);
    expect(both[1]).toBe(both[0]);
    expect(held).toHaveLength(1);
    expect(await sync(path)).toMatchObject({ outcome: 'right' });
    expect(held).toHaveLength(2);
  });
});
