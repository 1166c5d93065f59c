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
  const script = `const s=require('net').connect(9000,'${guest.address}');let t='';s.setTimeout(2000,()=>{console.error('timeout');process.exit(1)});s.on('connect',()=>s.write('${command}\\n'));s.on('data',d=>{t+=d;if(t.includes('\\n')){process.stdout.write(t);process.exit(0)}});s.on('error',e=>{console.error(e.message);process.exit(1)})`;
  return JSON.parse(await two.in(two.clientNamespace, process.execPath, '-e', script)) as GuestStatus;
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
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** A number in the guest's RAM that only grows. */
export const guestCounter = async (two: TwoHosts, guest: TestGuest): Promise<number> => (await controlGuest(two, guest, 'status')).uptimeMs;
