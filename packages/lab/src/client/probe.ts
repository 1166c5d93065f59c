import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { LabError } from '../lab-error.ts';
import type { ClientReport, ProbeAnswer, ProbeRequest } from './probe-protocol.ts';

/** The guest's answer to `status` (packages/lab/guest/control.c). */
export interface GuestStatus {
  readonly ok: true;
  readonly hostname: string;
  readonly nonce: string;
  readonly uptimeMs: number;
  readonly clockUs: number;
  readonly clocksource: string;
  readonly heartbeat: { readonly hz: number; readonly counter: number; readonly target: string };
  readonly memory: {
    readonly rateMBs: number;
    readonly setMib: number;
    readonly availableMib: number;
    readonly achievedMBs: number;
    readonly pagesWritten: number;
    readonly pagesCorrupt: number;
  };
  readonly disk: {
    readonly present: boolean;
    readonly rate: number;
    readonly lastAcknowledged: number;
    readonly acknowledged: number;
    readonly errors: number;
    readonly slots: number;
    readonly longestWriteMs: number;
  };
}

/** The guest's answer to `verify`: what its disk holds, read back. */
export interface DiskVerdict {
  readonly ok: boolean;
  readonly records: number;
  readonly lastFound: number;
  readonly lastAcknowledged: number;
  readonly torn: number;
  readonly missing: number;
  readonly problem: string;
}

/** Defaults of a watch: two connections asked 200 times a second each cost a TCG guest a few percent of a core. */
const watchConnections = 2;
const watchEveryMs = 5;

/** The handle of the client outside. Every method throws LabError NOT_READY when the probe is gone. */
export interface ClientProbe {
  /** Holds connections to the guest's echo service until `unwatch`. */
  watch(address: string, connections?: number, everyMs?: number): Promise<void>;
  unwatch(address: string): Promise<void>;
  reset(): Promise<void>;
  report(): Promise<readonly ClientReport[]>;
  /** Throws LabError NOT_READY with the reason when the guest does not answer, and with its words when it refuses. */
  control(address: string, line: string, timeoutMs?: number): Promise<unknown>;
  status(address: string): Promise<GuestStatus>;
  verifyDisk(address: string): Promise<DiskVerdict>;
  stop(): Promise<void>;
}

/** Starts the client outside in the lab's client namespace. Resolves when it hears heartbeats. */
export async function startProbe(clientNamespace: string): Promise<ClientProbe> {
  const program = path.join(import.meta.dirname, 'probe-main.ts');
  const child = spawn('ip', ['netns', 'exec', clientNamespace, process.execPath, '--disable-warning=ExperimentalWarning', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const waiting = new Map<number, (answer: ProbeAnswer) => void>();
  let words = '';
  let gone = false;
  let next = 1;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  child.stdin.on('error', () => {});
  const ready = new Promise<ProbeAnswer>((resolve) => waiting.set(0, resolve));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = JSON.parse(line) as ProbeAnswer;
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const fail = (message: string): void => {
    gone = true;
    for (const [id, resolve] of waiting) resolve({ id, ok: false, message });
    waiting.clear();
  };
  child.once('error', (error) => fail(error.message));
  void closed.then(() => fail(`the client's probe ended: ${words.trim()}`));

  const value = (answer: ProbeAnswer): unknown => {
    if (!answer.ok) throw new LabError('NOT_READY', answer.message);
    return answer.value;
  };
  const ask = async (request: DistributiveOmit<ProbeRequest, 'id'>): Promise<unknown> => {
    if (gone) throw new LabError('NOT_READY', `the client's probe ended: ${words.trim()}`);
    const id = next++;
    const answered = new Promise<ProbeAnswer>((resolve) => waiting.set(id, resolve));
    child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    return value(await answered);
  };
  value(await ready);
  const control = (address: string, line: string, timeoutMs = 5000): Promise<unknown> => ask({ op: 'control', address, line, timeoutMs });
  return {
    watch: async (address, connections = watchConnections, everyMs = watchEveryMs) =>
      void (await ask({ op: 'watch', address, connections, everyMs })),
    unwatch: async (address) => void (await ask({ op: 'unwatch', address })),
    reset: async () => void (await ask({ op: 'reset' })),
    report: async () => (await ask({ op: 'report' })) as readonly ClientReport[],
    control,
    status: async (address) => (await control(address, 'status')) as GuestStatus,
    verifyDisk: async (address) => (await control(address, 'verify', 30_000)) as DiskVerdict,
    stop: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

type DistributiveOmit<Union, Key extends PropertyKey> = Union extends unknown ? Omit<Union, Key> : never;
