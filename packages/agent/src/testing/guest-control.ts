import type { TestGuest } from './test-guest.ts';
import type { TwoHosts } from './two-hosts.ts';

export type GuestStatus = {
  readonly nonce: string;
  readonly heartbeat: { readonly counter: number };
  readonly memory: { readonly pagesCorrupt: number; readonly pagesWritten: number; readonly achievedMBs: number };
  readonly uptimeMs: number;
};

/** One command to the demo guest's control port, from the client's namespace; its answer. Throws when it does not answer within two seconds. */
export async function controlGuest(two: TwoHosts, guest: TestGuest, command: string): Promise<GuestStatus> {
  // The shell's own TCP: a Node for every question would cost more than the guest.
  const script = 'exec 3<>"/dev/tcp/$0/9000" && printf "%s\\n" "$1" >&3 && IFS= read -r answer <&3 && printf "%s\\n" "$answer"';
  return JSON.parse(await two.in(two.clientNamespace, 'timeout', '2', 'bash', '-c', script, guest.address, command)) as GuestStatus;
}

/** Waits for a guest that has just been started. */
export async function untilGuestAnswers(two: TwoHosts, guest: TestGuest, limitMs = 30_000): Promise<void> {
  const until = performance.now() + limitMs;
  for (;;) {
    try {
      await controlGuest(two, guest, 'status');
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A number in the guest's RAM that only grows. */
export const guestCounter = async (two: TwoHosts, guest: TestGuest): Promise<number> => (await controlGuest(two, guest, 'status')).uptimeMs;
