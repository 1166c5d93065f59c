import { type ChildProcess, spawn } from 'node:child_process';
import { endOf, lastLines } from '@godwit/contract/testing/last-words';
import type { TwoHosts } from './two-hosts.ts';
import { ended } from './two-hosts.ts';

export type FrameSender = {
  /** Ends it; what was sent and when (UTC ms; the kernel had it some time between the two), and the longest silence of the guest's TCP echo with when it ended. */
  stop(): Promise<{
    readonly sent: readonly (readonly [sequence: number, atMs: number, goneAtMs: number])[];
    readonly longestEchoGapMs: number;
    readonly resets: number;
  }>;
};

/** Port that nothing listens on: only the frames count. */
export const framePort = 5555;

const program = (address: string): string => `
const now = () => performance.timeOrigin + performance.now();
const sent = []; let sequence = 0, last = 0, gap = 0, resets = 0;
const socket = require('dgram').createSocket('udp4');
setInterval(() => {
  const frame = [sequence += 1, now()];
  socket.send('sequence ' + sequence + ' end', ${framePort}, '${address}', () => { frame.push(now()); sent.push(frame); });
}, 1);
const echo = require('net').connect(7, '${address}');
echo.setNoDelay(true);
echo.on('connect', () => { last = now(); echo.write('x'); process.stdout.write('ready\\n'); });
echo.on('data', () => { gap = Math.max(gap, now() - last); last = now(); setTimeout(() => echo.write('x'), 1); });
echo.on('error', () => { resets += 1; });
process.stdin.on('end', () => { process.stdout.write(JSON.stringify({ sent, longestEchoGapMs: gap, resets }), () => process.exit(0)); }).resume();
`;

/** From the client's namespace: numbered datagrams to the guest, about one a millisecond, and a TCP echo that is always waited for. Resolves once the echo answers. */
export async function startFrameSender(two: TwoHosts, address: string): Promise<FrameSender> {
  const child: ChildProcess = spawn('ip', ['netns', 'exec', two.clientNamespace, process.execPath, '-e', program(address)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [text, complaints] = ['', ''];
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const ready = Promise.withResolvers<void>();
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    if (text.startsWith('ready')) ready.resolve();
  });
  child.once('exit', () => ready.reject(new Error(`the frame sender ${endOf(child)}: ${lastLines(complaints)}`)));
  await ready.promise;
  return {
    stop: async () => {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.stdin?.end();
      await gone;
      await ended(child);
      return JSON.parse(text.slice(text.indexOf('\n') + 1)) as Awaited<ReturnType<FrameSender['stop']>>;
    },
  };
}

export type FrameCapture = {
  /** Resolves when this datagram has been handed over, or a later one; throws when none has in ten seconds. */
  came(sequence: number): Promise<void>;
  /** The sequence numbers seen, in order. */
  stop(): Promise<readonly number[]>;
};

/** Captures the numbered datagrams that a host hands to an interface. */
export async function captureFrames(namespace: string, device: string): Promise<FrameCapture> {
  const child = spawn(
    'ip',
    [
      'netns',
      'exec',
      namespace,
      'tcpdump',
      '-i',
      device,
      '-n',
      '-l',
      '-A',
      '-s',
      '128',
      '--immediate-mode',
      'udp',
      'port',
      String(framePort),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  let words = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`tcpdump on ${device} ${endOf(child)}: ${lastLines(words)}`)));
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString();
      if (words.includes('listening on')) resolve();
    });
  });
  const seen = (): readonly number[] => [...text.matchAll(/sequence (\d+) end/g)].map((match) => Number(match[1]));
  return {
    came: async (sequence) => {
      for (const until = performance.now() + 10_000; (seen().at(-1) ?? 0) < sequence; ) {
        if (performance.now() > until)
          throw new Error(`datagram ${sequence} did not come to ${device} in 10 s; the last one was ${seen().at(-1) ?? 'none'}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: async () => {
      const gone = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGINT');
      await gone;
      return seen();
    },
  };
}
