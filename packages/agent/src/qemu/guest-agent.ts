import { connect, type Socket } from 'node:net';
import { foreignText } from '@godwit/domain/foreign-text';
import { type GuestTime, leftAheadMs, noAnswer, rightWithinMs, worthSettingMs } from '@godwit/domain/guest-time';
import { type ClockOffset, offsetOf } from '../migration/clock.ts';

/** Of the whole conversation. A guest under TCG on a busy host answers within some tens of milliseconds. */
const withinMs = 5_000;
/** Of the whole conversation: some thirty answers of forty bytes, with room for what an earlier one left. A guest may send what it likes, and this process does other guests' work. */
const mostBytes = 64 * 1024;
const mostLines = 64;
/** Of the guest's own words; the sentence around them is ours. */
const longestQuote = 140;
/** Readings of the guest's clock; the one with the shortest way counts. */
const readings = 5;
/** Of a busy guest the first order may come late, and its time with it. */
const orders = 4;
/** The sentinel of guest-sync-delimited: no JSON text contains it. */
const sentinel = 0xff;

/** The agent inside the guest answered, and not with a result. */
class AgentRefused extends Error {}
/** An order is in the channel, or with the agent, and nobody has said what became of it. */
class OrderOpen extends Error {}

export type SettingOptions = {
  /** Of the whole conversation; default 5 s. */
  readonly limitMs?: number;
  /** Why this host's clock is nothing to set another by: the guest's is read and left as it is. */
  readonly doubt?: string | null;
};

const conversations = new Map<string, Promise<GuestTime>>();

/**
 * Reads a guest's clock through the QEMU guest agent inside it, and sets it by this host's where it is wrong: `guest-sync-delimited`, `guest-get-time`, `guest-set-time`, and a reading again, because
 * what an agent says of its own work proves nothing. Never throws, and ends within `limitMs`: a guest without an agent, or with one that is silent, refuses, floods or talks nonsense, is told of in the
 * result. Nothing is frozen and nothing waits for it. The guest's clock is set only after its agent has answered a sync with our number, so that no order lies in the channel for one that starts later;
 * an order that has had no answer when the time is over makes the result `unsure`. One conversation per channel at a time, which holds one client: who asks meanwhile gets its result.
 */
export function setGuestTime(socketPath: string, nowMs: () => number, options: SettingOptions = {}): Promise<GuestTime> {
  const begun = conversations.get(socketPath);
  if (begun !== undefined) return begun;
  const conversation = converse(socketPath, nowMs, options).finally(() => conversations.delete(socketPath));
  conversations.set(socketPath, conversation);
  return conversation;
}

async function converse(socketPath: string, nowMs: () => number, { limitMs = withinMs, doubt = null }: SettingOptions): Promise<GuestTime> {
  const channel = new AgentChannel(socketPath);
  const timer = setTimeout(() => channel.end(new Error(`the guest's agent has not answered within ${limitMs} ms`)), limitMs);
  let before: ClockOffset | null = null;
  try {
    await channel.synchronise();
    before = await read(channel, nowMs);
    if (isRight(before)) return told('right', before, null, '');
    if (doubt !== null) return told('not-set', before, null, doubt);
    if (isLeft(before)) return told('not-set', before, null, `ahead by no more than ${leftAheadMs} ms, for which no clock is set back`);
    let refused: string | null = null;
    let after = before;
    let right = false;
    for (let turn = 0; turn < orders && !right; turn += 1) {
      refused = await set(channel, nowMs() + after.errorMs);
      const was = Math.abs(after.offsetMs);
      after = await read(channel, nowMs);
      right = Math.abs(after.offsetMs) <= after.errorMs + rightWithinMs;
      // An order that was long on its way is worth another; one that changed nothing is not, and none sets back by little.
      if (refused !== null || Math.abs(after.offsetMs) > was / 2 || isLeft(after)) break;
    }
    const detail = refused ?? (right ? '' : 'the agent said that it has set the clock');
    return told(right ? 'set' : 'not-set', before, after, detail);
  } catch (error) {
    const why = (error as Error).message;
    if (before === null) return noAnswer(foreignText(why));
    return told(error instanceof OrderOpen ? 'unsure' : 'not-set', before, null, why);
  } finally {
    clearTimeout(timer);
    channel.end(new Error('closed'));
  }
}

const isRight = ({ offsetMs, errorMs }: ClockOffset): boolean => Math.abs(offsetMs) <= errorMs + worthSettingMs;
const isLeft = ({ offsetMs }: ClockOffset): boolean => offsetMs > 0 && offsetMs <= leftAheadMs;

const told = (outcome: GuestTime['outcome'], before: ClockOffset, after: ClockOffset | null, detail: string): GuestTime => ({
  outcome,
  driftBeforeMs: hundredths(before.offsetMs),
  driftAfterMs: after === null ? null : hundredths(after.offsetMs),
  errorMs: hundredths((after ?? before).errorMs),
  detail: foreignText(detail),
});
const hundredths = (ms: number): number => Math.round(ms * 100) / 100;

async function read(channel: AgentChannel, nowMs: () => number): Promise<ClockOffset> {
  const taken = [];
  for (let turn = 0; turn < readings; turn += 1) {
    const sentAtMs = nowMs();
    const answer = await channel.ask('guest-get-time');
    const receivedAtMs = nowMs();
    if (typeof answer !== 'number' || !Number.isFinite(answer)) throw new Error(`the guest's agent tells no time: ${quoted(answer)}`);
    const theirs = answer / 1e6;
    taken.push({ sentAtMs, theirReceivedAtMs: theirs, theirSentAtMs: theirs, receivedAtMs });
  }
  return offsetOf(taken);
}

/** What the agent said against it; null: nothing. Throws OrderOpen when it said neither. Debian's sets the clock, and then says so when it finds no hwclock to set the machine's by: hence no reason to stop. */
async function set(channel: AgentChannel, toMs: number): Promise<string | null> {
  try {
    // In full digits: nanoseconds since 1970 are more than a number of JavaScript holds.
    await channel.ask('guest-set-time', `{"time":${BigInt(Math.round(toMs * 1000)) * 1000n}}`);
    return null;
  } catch (error) {
    if (error instanceof AgentRefused) return error.message;
    throw new OrderOpen(`an order to set the clock was given, and may still be carried out: ${(error as Error).message}`, { cause: error });
  }
}

/** One conversation over the guest's channel, a question at a time. What comes is taken a piece per turn of the event loop, while an answer is waited for, and no more than its bounds in all. */
class AgentChannel {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #bytes = 0;
  #lines = 0;
  #answered: ((line: Buffer) => void) | null = null;
  #failed: ((error: Error) => void) | null = null;
  #end: Error | null = null;

  constructor(socketPath: string) {
    this.#socket = connect(socketPath);
    this.#socket.on('data', (data) => this.#take(data));
    this.#socket.on('error', (error) => this.end(new Error(`the guest's agent channel: ${error.message}`)));
    this.#socket.on('close', () => this.end(new Error("the guest's agent channel was closed")));
  }

  /** After this, what comes answers what is asked: whatever an earlier conversation left is thrown away. */
  async synchronise(): Promise<void> {
    const id = Math.floor(Math.random() * 2 ** 31);
    this.#socket.write(Buffer.from([sentinel]));
    this.#write('guest-sync-delimited', `{"id":${id}}`);
    for (;;) {
      const line = await this.#line();
      const mark = line.lastIndexOf(sentinel);
      if (mark === -1) continue;
      if (answerOf(line.subarray(mark + 1))?.return === id) return;
    }
  }

  /** What the agent returns. Throws AgentRefused with its words, or what ended the conversation. */
  async ask(command: string, args?: string): Promise<unknown> {
    this.#write(command, args);
    const line = await this.#line();
    const answer = answerOf(line);
    if (answer === null)
      throw new Error(`the guest's agent does not answer ${command} as its protocol has it: ${quoted(line.toString('latin1'))}`);
    if (answer.error !== undefined) throw new AgentRefused(`the guest's agent on ${command}: ${wordsOf(answer.error)}`);
    return answer.return;
  }

  end(error: Error): void {
    this.#end ??= error;
    this.#failed?.(this.#end);
    this.#socket.destroy();
  }

  #write(command: string, args: string | undefined): void {
    this.#socket.write(`{"execute":"${command}"${args === undefined ? '' : `,"arguments":${args}`}}\n`);
  }

  async #line(): Promise<Buffer> {
    const known = this.#cut();
    if (known !== null) return known;
    if (this.#end !== null) throw this.#end;
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
      this.#socket.resume();
    });
  }

  #take(data: Buffer): void {
    this.#socket.pause();
    this.#bytes += data.length;
    if (this.#bytes > mostBytes) {
      this.end(new Error(`the guest's agent sent more than ${mostBytes} bytes`));
      return;
    }
    this.#pending = Buffer.concat([this.#pending, data]);
    if (this.#answered === null) return;
    const line = this.#cut();
    if (line === null) {
      // Others have their turn between two pieces.
      if (this.#end === null) setImmediate(() => this.#socket.resume());
      return;
    }
    this.#answered(line);
    this.#answered = null;
    this.#failed = null;
  }

  #cut(): Buffer | null {
    const end = this.#pending.indexOf(0x0a);
    if (end === -1 || this.#end !== null) return null;
    this.#lines += 1;
    if (this.#lines > mostLines) {
      this.end(new Error(`the guest's agent sent more than ${mostLines} lines`));
      return null;
    }
    const line = this.#pending.subarray(0, end);
    this.#pending = this.#pending.subarray(end + 1);
    return line;
  }
}

type Answer = { readonly return?: unknown; readonly error?: unknown };

function answerOf(line: Buffer): Answer | null {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' && value !== null && ('return' in value || 'error' in value) ? (value as Answer) : null;
  } catch {
    return null;
  }
}

/** The agent's own words against something, if they are words. */
function wordsOf(error: unknown): string {
  const said = typeof error === 'object' && error !== null ? (error as { readonly desc?: unknown; readonly class?: unknown }) : {};
  const words = [said.desc, said.class].find((one) => typeof one === 'string' && one !== '');
  return typeof words === 'string' ? foreignText(words, longestQuote) : 'it failed';
}

/** What a guest says is its own: quoted, cut, and without what could steer a terminal. */
const quoted = (value: unknown): string => foreignText(JSON.stringify(value ?? null), 80);
