import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { connectQmp, type QmpClient, QmpClosed, QmpCommandError, type QmpEvent, QmpTimeout } from './qmp-client.ts';
import { QmpLines } from './qmp-framing.ts';

const greeting = { QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 }, package: '' }, capabilities: ['oob'] } };
type Command = { execute?: string; 'exec-oob'?: string; arguments?: Record<string, unknown>; id: number };

let dir: string;
let path: string;
let server: Server | undefined;
const clients: QmpClient[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gw-qmp-'));
  path = join(dir, 'q.sock');
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  rmSync(dir, { recursive: true });
});

/** A peer that greets, accepts qmp_capabilities and hands every other command to `answer`. */
async function fakeQemu(answer: (command: Command, socket: Socket) => void, greet: object | undefined = greeting): Promise<void> {
  server = createServer((socket) => {
    const lines = new QmpLines();
    socket.on('error', () => undefined);
    if (greet) socket.write(`${JSON.stringify(greet)}\r\n`);
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const command = JSON.parse(line) as Command;
        if (command.execute === 'qmp_capabilities') socket.write(`${JSON.stringify({ return: {}, id: command.id })}\r\n`);
        else answer(command, socket);
      }
    });
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
}

async function connect(): Promise<QmpClient> {
  const client = await connectQmp(path, { deadlineMs: 2000 });
  clients.push(client);
  return client;
}

const line = (message: object): string => `${JSON.stringify(message)}\r\n`;

describe('framing', () => {
  test('lines are the same whatever the chunk borders', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.array(fc.nat(400), { maxLength: 20 }), (values, cuts) => {
        const text = values.map((value) => JSON.stringify({ value }));
        const bytes = Buffer.from(text.map((one) => `${one}\r\n`).join(''));
        const borders = [...new Set([0, ...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length])].sort((a, b) => a - b);
        const lines = new QmpLines();
        const got = borders.slice(1).flatMap((end, i) => lines.push(bytes.subarray(borders[i], end)));
        expect(got).toEqual(text);
      }),
    );
  });

  test('a multi-byte character cut in two arrives whole', () => {
    const lines = new QmpLines();
    const bytes = Buffer.from('{"a":"é"}\n');
    expect([...lines.push(bytes.subarray(0, 7)), ...lines.push(bytes.subarray(7))]).toEqual(['{"a":"é"}']);
  });
});

describe('commands', () => {
  test('replies are matched by id, not by order', async () => {
    const held: Command[] = [];
    await fakeQemu((command, socket) => {
      held.push(command);
      if (held.length === 3) for (const one of held.reverse()) socket.write(line({ return: one.execute, id: one.id }));
    });
    const client = await connect();
    expect(client.qemuVersion).toBe('10.0.2');
    expect(await Promise.all(['a', 'b', 'c'].map((name) => client.execute(name)))).toEqual(['a', 'b', 'c']);
  });

  test('an error carries class and description', async () => {
    await fakeQemu((command, socket) => socket.write(line({ error: { class: 'CommandNotFound', desc: 'no such' }, id: command.id })));
    const client = await connect();
    const error = await client.execute('nope').catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(QmpCommandError);
    expect(error).toMatchObject({ class: 'CommandNotFound', desc: 'no such', command: 'nope' });
  });

  test('silence ends in a timeout, and the late answer disturbs nobody', async () => {
    let late: (() => void) | undefined;
    await fakeQemu((command, socket) => {
      const answer = (): boolean => socket.write(line({ return: command.execute, id: command.id }));
      if (command.execute === 'slow') late = answer;
      else answer();
    });
    const client = await connect();
    await expect(client.execute('slow', {}, { timeoutMs: 20 })).rejects.toBeInstanceOf(QmpTimeout);
    late?.();
    expect(await client.execute('next')).toBe('next');
  });

  test('out-of-band goes as exec-oob, and is refused locally when not offered', async () => {
    await fakeQemu((command, socket) => socket.write(line({ return: command['exec-oob'], id: command.id })));
    expect(await (await connect()).execute('yank', { instances: [] }, { oob: true })).toBe('yank');
  });

  test('out-of-band is refused locally when QEMU did not offer it', async () => {
    await fakeQemu(() => expect.unreachable(), { QMP: { ...greeting.QMP, capabilities: [] } });
    const client = await connect();
    expect(client.oob).toBe(false);
    await expect(client.execute('yank', {}, { oob: true })).rejects.toMatchObject({ class: 'OobUnavailable' });
  });

  test('a reply of several megabytes arrives whole', async () => {
    const big = 'ü'.repeat(3_000_000);
    await fakeQemu((command, socket) => socket.write(line({ return: big, id: command.id })));
    expect(await (await connect()).execute('big')).toBe(big);
  });
});

describe('events', () => {
  const stop = { event: 'STOP', timestamp: { seconds: 1700000000, microseconds: 123456 } };

  test('carry QEMU time in fractional ms, and come before a later reply', async () => {
    await fakeQemu((command, socket) => socket.write(line(stop) + line({ return: {}, id: command.id })));
    const client = await connect();
    const seen: QmpEvent[] = [];
    client.on((event) => seen.push(event));
    await client.execute('stop');
    expect(seen).toHaveLength(1);
    expect(seen[0]?.timestampMs).toBeCloseTo(1700000000123.456, 3);
    expect(Math.abs((seen[0]?.receivedAtMs ?? 0) - Date.now())).toBeLessThan(2000);
  });

  test('next gives the matching one, and times out otherwise', async () => {
    await fakeQemu((command, socket) =>
      socket.write(line(stop) + line({ ...stop, event: 'RESUME' }) + line({ return: {}, id: command.id })),
    );
    const client = await connect();
    const resumed = client.next((event) => event.event === 'RESUME', 2000);
    await client.execute('x');
    expect((await resumed).event).toBe('RESUME');
    await expect(client.next(() => true, 10)).rejects.toBeInstanceOf(QmpTimeout);
  });

  test('an unsubscribed listener hears nothing; a throwing one harms nobody', async () => {
    await fakeQemu((command, socket) => socket.write(line(stop) + line({ return: {}, id: command.id })));
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const client = await connect();
    let heard = 0;
    client.on(() => {
      throw new Error('faulty listener');
    });
    const off = client.on(() => {
      heard += 1;
    });
    await client.execute('x');
    off();
    await client.execute('x');
    expect(heard).toBe(1);
    expect(warned.mock.calls.map(([warning]) => String(warning))).toEqual(['Error: faulty listener', 'Error: faulty listener']);
    warned.mockRestore();
  });
});

describe('endings', () => {
  test('a hang-up rejects what is pending and what comes after, and resolves closed', async () => {
    await fakeQemu((_command, socket) => socket.destroy());
    const client = await connect();
    const waiting = client.next(() => true, 5000);
    await expect(client.execute('x')).rejects.toBeInstanceOf(QmpClosed);
    await expect(waiting).rejects.toBeInstanceOf(QmpClosed);
    await client.closed;
    await expect(client.execute('y')).rejects.toBeInstanceOf(QmpClosed);
  });

  test('garbage closes the monitor', async () => {
    await fakeQemu((_command, socket) => socket.write('(qemu) hello\n'));
    await expect((await connect()).execute('x')).rejects.toThrow(/not JSON/);
  });

  test('no greeting ends at the deadline', async () => {
    await fakeQemu(() => undefined, null as never);
    await expect(connectQmp(path, { deadlineMs: 50 })).rejects.toBeInstanceOf(QmpTimeout);
  });

  test('a socket that appears late is found, one that never does ends at the deadline', async () => {
    const early = connectQmp(path, { deadlineMs: 2000 });
    await fakeQemu((command, socket) => socket.write(line({ return: 1, id: command.id })));
    clients.push(await early);
    await expect(connectQmp(join(dir, 'none.sock'), { deadlineMs: 30 })).rejects.toBeInstanceOf(QmpTimeout);
  });

  test('an abort ends the attempt at once', async () => {
    const abort = new AbortController();
    const attempt = connectQmp(path, { deadlineMs: 60_000, signal: abort.signal });
    abort.abort();
    await expect(attempt).rejects.toBeInstanceOf(QmpClosed);
  });
});
