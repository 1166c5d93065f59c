import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { portOfOurOwn } from '@godwit/contract/testing/port-of-our-own';
import { expect, onTestFinished, test } from 'vitest';
import { FrameHold } from './frame-hold.ts';

const address = '127.0.0.1';

async function socket(): Promise<{ readonly socket: Socket; readonly port: number; readonly heard: string[] }> {
  const made = createSocket('udp4');
  onTestFinished(() => void made.close());
  const heard: string[] = [];
  made.on('message', (packet) => void heard.push(packet.toString()));
  made.bind(0, address);
  await once(made, 'listening');
  return { socket: made, port: made.address().port, heard };
}

/** A hold between a sender and the kernel's end of a tunnel, both played. */
async function hold(
  from: string,
): Promise<{ readonly frames: FrameHold; readonly heard: readonly string[]; send(what: string): Promise<void> }> {
  const [tunnel, sender, port] = [await socket(), await socket(), await portOfOurOwn('udp')];
  const frames = await FrameHold.listen({ address, port }, from, { address, port: tunnel.port });
  onTestFinished(() => frames.close());
  return {
    frames,
    heard: tunnel.heard,
    send: (what) =>
      new Promise((resolve, reject) => sender.socket.send(what, port, address, (error) => (error ? reject(error) : resolve()))),
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('what came since the stop is let in, in order, then everything; what came before is not', async () => {
  const { frames, heard, send } = await hold(address);
  await send('long before');
  await expect.poll(() => frames.kept).toBe(1);
  const stoppedAtMs = performance.now();
  await send('first');
  await send('second');
  await expect.poll(() => frames.kept).toBe(3);
  expect(heard).toEqual([]);
  frames.letIn(stoppedAtMs);
  await send('late');
  await expect.poll(() => heard).toEqual(['first', 'second', 'late']);
});

test('what has been dropped does not come, and what a stranger sends never', async () => {
  const own = await hold(address);
  await own.send('before the source went on by itself');
  await expect.poll(() => own.frames.kept).toBe(1);
  own.frames.drop();
  own.frames.letIn(0);
  await own.send('after');
  await expect.poll(() => own.heard).toEqual(['after']);
  const foreign = await hold('127.0.0.2');
  foreign.frames.letIn(0);
  await foreign.send('from elsewhere');
  await pause(30);
  expect(foreign.heard).toEqual([]);
});
