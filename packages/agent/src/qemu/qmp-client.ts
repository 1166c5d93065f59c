import { createConnection, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { QmpClosed, QmpCommandError, QmpTimeout } from './qmp-errors.ts';
import { QmpLines } from './qmp-framing.ts';

export { QmpClosed, QmpCommandError, QmpTimeout } from './qmp-errors.ts';

/** An asynchronous QMP event. */
export type QmpEvent = {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** When QEMU emitted it: wall clock of the host, ms since 1970 with a fraction (QEMU gives microseconds). */
  readonly timestampMs: number;
  /** When this process read it: same clock and unit; later than `timestampMs` by socket and event-loop delay. */
  readonly receivedAtMs: number;
};

export type ExecuteOptions = {
  /** Limit for the answer; 10 s unless told. */
  readonly timeoutMs?: number;
  /** Send as `exec-oob`: answered by QEMU's monitor thread even while its main loop hangs (yank, migrate-pause, migrate-recover). */
  readonly oob?: boolean;
};

export type QmpClient = {
  /**
   * Sends a command; returns what QEMU returned.
   * Throws QmpCommandError when QEMU refuses, QmpTimeout when it is silent (the command may still happen), QmpClosed when the monitor is gone.
   */
  execute(command: string, args?: Readonly<Record<string, unknown>>, options?: ExecuteOptions): Promise<unknown>;
  /** Calls the listener with every event, synchronously as it is read, before any later reply resolves. Returns the unsubscriber. */
  on(listener: (event: QmpEvent) => void): () => void;
  /**
   * The first matching event that arrives after this call (so call it before the command that causes the event).
   * `deadlineMs` counts from now. Throws QmpTimeout or QmpClosed.
   */
  next(match: (event: QmpEvent) => boolean, deadlineMs: number): Promise<QmpEvent>;
  /** Ends the connection; the QEMU process is not touched. Pending calls reject with QmpClosed. Resolves when closed. */
  close(): Promise<void>;
  /** Resolves (never rejects) once the connection is gone, whoever ended it. */
  readonly closed: Promise<void>;
  /** Whether out-of-band execution was negotiated. */
  readonly oob: boolean;
  /** QEMU's version from the greeting, e.g. "10.0.2". */
  readonly qemuVersion: string;
};

export type ConnectOptions = {
  /** From now until greeting and negotiation are done. A socket that does not exist yet, or refuses, is tried again until then. */
  readonly deadlineMs: number;
  /** Aborting (e.g. because the process died) ends the attempt at once with QmpClosed. */
  readonly signal?: AbortSignal;
};

const defaultTimeoutMs = 10_000;
/** How long to wait before trying again a socket that QEMU has not made yet; QEMU needs 30–100 ms to make it. */
const retryMs = 3;

type Reply = { readonly id?: unknown; readonly return?: unknown; readonly error?: { class: string; desc: string } };
type Greeting = { readonly QMP: { version: { qemu: { major: number; minor: number; micro: number } }; capabilities: readonly string[] } };

/**
 * Connects to a QMP monitor on a unix socket, reads the greeting and negotiates, with `oob` when QEMU offers it.
 *
 * QEMU serves one client per monitor: while another is connected this one gets no greeting and ends in QmpTimeout.
 * To be able to `yank`, a second monitor must be connected *before* QEMU's main loop hangs, since negotiation itself needs the main loop.
 * Throws QmpTimeout when the deadline passes, QmpClosed when the peer hangs up or the signal aborts; leaves nothing open then.
 */
export async function connectQmp(socketPath: string, options: ConnectOptions): Promise<QmpClient> {
  const until = performance.now() + options.deadlineMs;
  const socket = await connectWithin(socketPath, options, until);
  const connection = new Connection(socketPath, socket);
  const abort = (): void => connection.fail('the attempt was aborted');
  options.signal?.addEventListener('abort', abort, { once: true });
  try {
    const greeting = await connection.greeting(Math.max(1, until - performance.now()));
    const { major, minor, micro } = greeting.QMP.version.qemu;
    connection.qemuVersion = `${major}.${minor}.${micro}`;
    const enable = greeting.QMP.capabilities.includes('oob') ? ['oob'] : [];
    await connection.execute('qmp_capabilities', { enable }, { timeoutMs: Math.max(1, until - performance.now()) });
    connection.oob = enable.length > 0;
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
}

async function connectWithin(socketPath: string, options: ConnectOptions, until: number): Promise<Socket> {
  for (;;) {
    if (options.signal?.aborted) throw new QmpClosed(socketPath, 'the attempt was aborted');
    const outcome = await tryConnect(socketPath);
    if (!(outcome instanceof Error)) return outcome;
    const notYet = outcome.code === 'ENOENT' || outcome.code === 'ECONNREFUSED' || outcome.code === 'EAGAIN';
    if (!notYet) throw new QmpClosed(socketPath, outcome.message, { cause: outcome });
    if (performance.now() + retryMs >= until) throw new QmpTimeout(`a connection to ${socketPath} (${outcome.code})`, options.deadlineMs);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

function tryConnect(socketPath: string): Promise<Socket | NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.once('error', resolve);
    socket.once('connect', () => {
      socket.removeListener('error', resolve);
      resolve(socket);
    });
  });
}

type Pending = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly command: string;
  readonly timer: NodeJS.Timeout;
};
type Waiter = {
  readonly match: (event: QmpEvent) => boolean;
  readonly resolve: (event: QmpEvent) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
};

class Connection implements QmpClient {
  oob = false;
  qemuVersion = 'unknown';
  readonly closed: Promise<void>;
  readonly #socketPath: string;
  readonly #socket: Socket;
  readonly #lines = new QmpLines();
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #waiters = new Set<Waiter>();
  readonly #greeting = Promise.withResolvers<Greeting>();
  #lastId = 0;
  #end: QmpClosed | undefined;

  constructor(socketPath: string, socket: Socket) {
    this.#socketPath = socketPath;
    this.#socket = socket;
    this.#greeting.promise.catch(() => undefined); // observed by greeting(); a close before that must not be an unhandled rejection
    const gone = Promise.withResolvers<void>();
    this.closed = gone.promise;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.fail(error.message, { cause: error }));
    socket.on('end', () => this.fail('QEMU hung up'));
    socket.on('close', () => {
      this.fail('the connection ended');
      gone.resolve();
    });
  }

  greeting(timeoutMs: number): Promise<Greeting> {
    const timer = setTimeout(() => this.#greeting.reject(new QmpTimeout('a connection with its greeting', timeoutMs)), timeoutMs);
    return this.#greeting.promise.finally(() => clearTimeout(timer));
  }

  execute(command: string, args?: Readonly<Record<string, unknown>>, options: ExecuteOptions = {}): Promise<unknown> {
    if (this.#end) return Promise.reject(this.#end);
    if (options.oob && !this.oob) {
      return Promise.reject(new QmpCommandError(command, 'OobUnavailable', 'out-of-band execution was not negotiated on this monitor'));
    }
    const id = ++this.#lastId;
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new QmpTimeout(command, timeoutMs));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, command, timer });
      this.#socket.write(`${JSON.stringify({ [options.oob ? 'exec-oob' : 'execute']: command, ...(args && { arguments: args }), id })}\n`);
    });
  }

  on(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  next(match: (event: QmpEvent) => boolean, deadlineMs: number): Promise<QmpEvent> {
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        reject(new QmpTimeout('with the awaited event', deadlineMs));
      }, deadlineMs);
      const waiter: Waiter = { match, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  async close(): Promise<void> {
    this.fail('closed by us');
    await this.closed;
  }

  /** Ends the connection and everything that waits on it; only the first reason counts. */
  fail(why: string, options?: ErrorOptions): void {
    if (this.#end) return;
    const end = new QmpClosed(this.#socketPath, why, options);
    this.#end = end;
    this.#greeting.reject(end);
    for (const waiting of [...this.#pending.values(), ...this.#waiters]) {
      clearTimeout(waiting.timer);
      waiting.reject(end);
    }
    this.#pending.clear();
    this.#waiters.clear();
    this.#listeners.clear();
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const receivedAtMs = performance.timeOrigin + performance.now();
    for (const line of this.#lines.push(chunk)) {
      let message: unknown;
      try {
        message = JSON.parse(line);
      } catch (error) {
        this.fail(`it sent what is not JSON: ${line.slice(0, 200)}`, { cause: error });
        return;
      }
      if (typeof message !== 'object' || message === null) this.fail(`it sent what is not an object: ${line.slice(0, 200)}`);
      else if ('QMP' in message) this.#greeting.resolve(message as Greeting);
      else if ('event' in message) this.#dispatch(eventOf(message as RawEvent, receivedAtMs));
      else this.#answer(message);
      if (this.#end) return;
    }
  }

  #answer(reply: Reply): void {
    const pending = typeof reply.id === 'number' ? this.#pending.get(reply.id) : undefined;
    // No id: QEMU could not parse what we sent. Unknown id: the answer to a command that has timed out; both change nothing here.
    if (!pending) return;
    this.#pending.delete(reply.id as number);
    clearTimeout(pending.timer);
    if (reply.error) pending.reject(new QmpCommandError(pending.command, reply.error.class, reply.error.desc));
    else pending.resolve(reply.return);
  }

  #dispatch(event: QmpEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        // One faulty listener must not keep the others, nor a waiting switchover, from the event.
        process.emitWarning(error instanceof Error ? error : String(error), { code: 'QMP_LISTENER', detail: event.event });
      }
    }
    for (const waiter of [...this.#waiters]) {
      let matches = false;
      try {
        matches = waiter.match(event);
      } catch (error) {
        this.#waiters.delete(waiter);
        clearTimeout(waiter.timer);
        waiter.reject(error instanceof Error ? error : new Error(String(error)));
        continue;
      }
      if (!matches) continue;
      this.#waiters.delete(waiter);
      clearTimeout(waiter.timer);
      waiter.resolve(event);
    }
  }
}

type RawEvent = {
  readonly event: string;
  readonly data?: Record<string, unknown>;
  readonly timestamp?: { seconds: number; microseconds: number };
};

function eventOf(raw: RawEvent, receivedAtMs: number): QmpEvent {
  const stamp = raw.timestamp;
  // QEMU writes -1 for both parts when it could not read the clock.
  const timestampMs = stamp && stamp.seconds >= 0 ? stamp.seconds * 1000 + stamp.microseconds / 1000 : receivedAtMs;
  return { event: raw.event, data: raw.data ?? {}, timestampMs, receivedAtMs };
}
