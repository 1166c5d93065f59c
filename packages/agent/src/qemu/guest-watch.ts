import { factNow } from './fact-now.ts';
import { factOfEvent, type GuestFact } from './guest-fact.ts';
import { type GuestProcess, lastWords, type ProcessEnd } from './guest-process.ts';
import type { QmpEvent } from './qmp-client.ts';

/**
 * Turns QEMU's events and the death of its process into facts, in the order in which they happened; a fact equal in kind to the one before is not
 * repeated, `reset` excepted. The first fact is the state found now. After `died` nothing more comes.
 *
 * It only reports. During a migration the engine listens to QEMU itself and decides what a stop means; `ended` of the process is reported here too.
 * Returns the stop function.
 */
export function watchGuest(guest: Pick<GuestProcess, 'qmp' | 'ended'>, report: (fact: GuestFact) => void): () => void {
  let last: GuestFact['kind'] | undefined;
  let stopped = false;
  let looking = false;
  let lookAgain = false;
  const tell = (fact: GuestFact): void => {
    if (stopped || (fact.kind === last && fact.kind !== 'reset')) return;
    last = fact.kind === 'reset' ? 'running' : fact.kind;
    report(fact);
  };
  const look = async (): Promise<void> => {
    if (looking) {
      lookAgain = true;
      return;
    }
    looking = true;
    try {
      do {
        lookAgain = false;
        const fact = await factNow(guest.qmp);
        if (fact) tell(fact);
      } while (lookAgain && !stopped);
    } catch {
      // Closed: `ended` tells. Silent: QEMU's main loop hangs, and its next event makes us look again.
    } finally {
      looking = false;
    }
  };
  const off = guest.qmp.on((event: QmpEvent) => {
    const fact = factOfEvent(event);
    if (fact === 'look') void look();
    else if (fact) tell(fact);
  });
  void guest.ended.then((end) => tell(deathOf(end)));
  void look();
  return () => {
    stopped = true;
    off();
  };
}

/** How a process end reads to a person. */
export function deathOf(end: ProcessEnd): GuestFact {
  const because = end.lastLines.length === 0 ? '' : `: ${lastWords(end.lastLines)}`;
  switch (end.kind) {
    case 'exited':
      return { kind: 'died', clean: end.code === 0, cause: `QEMU exited with code ${end.code}${because}`, lastLines: end.lastLines };
    case 'signalled':
      return { kind: 'died', clean: false, cause: `QEMU was ended by ${end.signal}${because}`, lastLines: end.lastLines };
    case 'vanished':
      return { kind: 'died', clean: false, cause: `QEMU died while nobody could see how${because}`, lastLines: end.lastLines };
  }
}
