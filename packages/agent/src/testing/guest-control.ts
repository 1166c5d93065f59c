import type { TestGuest } from './test-guest.ts';
import type { TwoHosts } from './two-hosts.ts';

export type GuestStatus = {
  readonly nonce: string;
  /** Online. */
  readonly vcpus: number;
  readonly heartbeat: { readonly counter: number };
  readonly memory: {
    readonly totalMib: number;
    readonly pagesCorrupt: number;
    readonly pagesWritten: number;
    readonly achievedMBs: number;
  };
  readonly uptimeMs: number;
  /** Its wall clock. */
  readonly clockUs: number;
};

/** Longer than a lost first packet, or a busy machine, keeps an answer away. */
const answerLimitSeconds = 20;
/** A guest answers within milliseconds. */
const silenceSeconds = 2;

/** One command to the demo guest's control port, from the client's namespace; its answer. Throws when it does not answer within `limitSeconds`. */
export async function controlGuest(
  two: TwoHosts,
  guest: TestGuest,
  command: string,
  limitSeconds = answerLimitSeconds,
): Promise<GuestStatus> {
  // The shell's own TCP: a Node for every question would cost more than the guest.
  const script = 'exec 3<>"/dev/tcp/$0/9000" && printf "%s\\n" "$1" >&3 && IFS= read -r answer <&3 && printf "%s\\n" "$answer"';
  return JSON.parse(
    await two.in(two.clientNamespace, 'timeout', String(limitSeconds), 'bash', '-c', script, guest.address, command),
  ) as GuestStatus;
}

/** Waits for a guest that has just been started. */
export async function untilGuestAnswers(two: TwoHosts, guest: TestGuest, limitMs = 30_000): Promise<void> {
  const until = performance.now() + limitMs;
  for (;;) {
    try {
      await controlGuest(two, guest, 'status', silenceSeconds);
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** Whether nothing is heard of a guest that is asked, for longer than one needs that may answer. */
export const isSilent = (two: TwoHosts, guest: TestGuest): Promise<boolean> =>
  controlGuest(two, guest, 'status', silenceSeconds).then(
    () => false,
    () => true,
  );

/** A number in the guest's RAM that only grows. */
export const guestCounter = async (two: TwoHosts, guest: TestGuest): Promise<number> => (await controlGuest(two, guest, 'status')).uptimeMs;
