import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { LabError } from '../lab-error.ts';
import { heartbeatPort, parseHeartbeat } from './heartbeat.ts';
import { type CapturedFrame, PcapStream, udpPayload } from './pcap-stream.ts';
import { type GuestRecord, type Violation, WitnessJudge } from './witness-judge.ts';

const run = promisify(execFile);

export interface Witness {
  readonly violations: readonly Violation[];
  readonly guests: readonly GuestRecord[];
  resetGaps(): void;
  /** True while the capture runs and has lost nothing; a witness that stopped looking proves nothing. */
  readonly isWatching: boolean;
  /** Ends the capture. Throws LabError NOT_READY when it had ended by itself or the kernel dropped frames: then its silence proves nothing. */
  stop(): Promise<void>;
}

/** tcpdump's last words when it is told to end: "12 packets dropped by kernel". */
const dropped = /(\d+) packets? dropped by kernel/;

/**
 * Listens on the fabric for every guest's heartbeats, with the port each came in by. One capture over all ports, so that the
 * kernel itself orders what they saw. `onViolation` is called at once. Resolves when it listens.
 */
export async function startWitness(fabricNamespace: string, onViolation: (violation: Violation) => void = () => {}): Promise<Witness> {
  const ports = await portsByIndex(fabricNamespace);
  const judge = new WitnessJudge();
  const stream = new PcapStream();
  const child = spawn(
    'ip',
    [
      'netns',
      'exec',
      fabricNamespace,
      'tcpdump',
      '-n',
      '-i',
      'any',
      '-y',
      'LINUX_SLL2',
      '-Q',
      'in',
      '-s',
      '200',
      '-B',
      '8192',
      '--immediate-mode',
      '--time-stamp-precision=nano',
      '-U',
      '-w',
      '-',
      `udp dst port ${heartbeatPort}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let words = '';
  let ended = false;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void closed.then(() => (ended = true));
  const listening = new Promise<void>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new LabError('NOT_READY', 'the witness cannot run tcpdump; "make setup" installs it', { cause })),
    );
    child.once('close', () => reject(new LabError('NOT_READY', `the witness cannot listen: ${words.trim()}`)));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words += text;
      if (words.includes('listening on')) resolve();
    });
  });
  child.stdout.on('data', (chunk: Buffer) => {
    for (const frame of stream.push(chunk)) {
      const violation = judgeFrame(judge, ports, frame);
      if (violation !== undefined) onViolation(violation);
    }
  });
  await listening;
  return {
    get violations() {
      return judge.violations;
    },
    get guests() {
      return judge.guests;
    },
    get isWatching() {
      return !ended;
    },
    resetGaps: () => judge.resetGaps(),
    async stop() {
      const endedBefore = ended;
      child.kill('SIGINT');
      await closed;
      const lost = Number(dropped.exec(words)?.[1] ?? 0);
      if (endedBefore) throw new LabError('NOT_READY', `the witness had stopped looking: ${words.trim()}`);
      if (lost > 0) throw new LabError('NOT_READY', `the witness missed ${lost} frames`);
    },
  };
}

function judgeFrame(judge: WitnessJudge, ports: ReadonlyMap<number, string>, frame: CapturedFrame): Violation | undefined {
  const port = ports.get(frame.interfaceIndex);
  const payload = udpPayload(frame.packet);
  const heartbeat = payload === undefined ? undefined : parseHeartbeat(payload);
  // A frame is seen at the port it enters by and, when flooded or for the fabric itself, at the bridge: only ports tell who sent it.
  if (port === undefined || heartbeat === undefined) return undefined;
  return judge.see({ atMs: frame.atMs, port, guest: frame.senderMac, nonce: heartbeat.nonce, counter: heartbeat.counter });
}

async function portsByIndex(namespace: string): Promise<ReadonlyMap<number, string>> {
  const { stdout } = await run('ip', ['-netns', namespace, '-json', 'link', 'show', 'type', 'veth']);
  const links = JSON.parse(stdout) as readonly { readonly ifindex: number; readonly ifname: string }[];
  return new Map(links.map((link) => [link.ifindex, link.ifname]));
}
