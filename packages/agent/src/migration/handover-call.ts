import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { HandoverAnswer, HandoverStepSchema } from '@godwit/contract/gen/agent_pb';

export type Step = MessageInitShape<typeof HandoverStepSchema>;

/** A call that stands: what is sent on it is one message and not a request, and whatever it passes has been passed by the steps before it. */
export type Handover = (steps: AsyncIterable<Step>, options: { readonly signal: AbortSignal }) => AsyncIterable<HandoverAnswer>;

type Waiting = { readonly resolve: (answer: HandoverAnswer) => void; readonly reject: (error: unknown) => void };

/**
 * The standing call to the destination of one move: steps go out at once, answers come back in the order of the steps. It breaks as a whole: after an error, or an answer that is late,
 * every step that waits fails, and so does each later one.
 */
export class HandoverCall {
  readonly #abort = new AbortController();
  readonly #unsent: Step[] = [];
  readonly #waiting: Waiting[] = [];
  #wake: () => void = () => undefined;
  #broken: Error | null = null;

  constructor(handover: Handover) {
    void this.#listen(handover(this.#steps(), { signal: this.#abort.signal }));
  }

  get broken(): boolean {
    return this.#broken !== null;
  }

  /** Rejects when the answer does not come within `timeoutMs`: whether the step was heard is unknown then. */
  ask(step: Step, timeoutMs: number): Promise<HandoverAnswer> {
    if (this.#broken) return Promise.reject(this.#broken);
    const { promise, resolve, reject } = Promise.withResolvers<HandoverAnswer>();
    const timer = setTimeout(
      () => this.#break(new ConnectError(`no answer within ${timeoutMs} ms`, Code.DeadlineExceeded)),
      timeoutMs,
    ).unref();
    this.#waiting.push({ resolve, reject });
    this.#unsent.push(step);
    this.#wake();
    return promise.finally(() => clearTimeout(timer));
  }

  close(): void {
    this.#break(new ConnectError('the handover is closed', Code.Canceled));
  }

  async *#steps(): AsyncIterable<Step> {
    while (!this.#broken) {
      const step = this.#unsent.shift();
      if (step) yield step;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  async #listen(answers: AsyncIterable<HandoverAnswer>): Promise<void> {
    try {
      for await (const answer of answers) this.#waiting.shift()?.resolve(answer);
      this.#break(new ConnectError('the destination ended the handover', Code.Unavailable));
    } catch (error) {
      this.#break(error as Error);
    }
  }

  #break(error: Error): void {
    if (this.#broken) return;
    this.#broken = error;
    this.#abort.abort();
    this.#wake();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}
