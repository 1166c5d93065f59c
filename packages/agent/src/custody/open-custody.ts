import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import type { HostId, ServerId } from '@godwit/domain/ids';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { type CustodyInput, type GateOptions, openGate } from './gate.ts';
import { openJournal } from './journal.ts';
import { qmpControl } from './qmp-control.ts';
import { rehearse } from './rehearse.ts';

export type CustodyOptions = Omit<GateOptions, 'journal'> & {
  readonly stateDir: string;
  readonly hostId: HostId;
  /** See JournalOptions. */
  readonly noteSynced: boolean;
};

/** This host's custody of all its guests. */
export type HostCustodyGate = {
  /** See Gate.feed. */
  feed(serverId: ServerId, event: CustodyInput): Promise<readonly HostMessage[]>;
  attach(serverId: ServerId, process: Pick<GuestProcess, 'ref' | 'qmp'>): void;
  state(serverId: ServerId): HostCustody;
  servers(): readonly ServerId[];
  /** Closes the journal; guests run on. */
  close(): void;
};

/**
 * Opens the journal under `stateDir` and the gate over it. Servers that it names are not adopted yet: attach their living processes first, then feed
 * each `adopt` (any other event adopts first by itself). Throws JournalError when this host cannot know what it has promised: it may then not act.
 */
export function openCustody(options: CustodyOptions): HostCustodyGate {
  // Compiled code that is not used for a while would be thrown away, and the next switchover would wait for it again.
  setFlagsFromString('--no-flush-bytecode');
  rehearse();
  const { stateDir, hostId, bootId, noteSynced } = options;
  const journal = openJournal({ path: join(stateDir, 'custody', 'journal'), hostId, bootId, noteSynced });
  const gate = openGate({ ...options, journal });
  return {
    feed: gate.feed.bind(gate),
    attach: (serverId, process) => gate.attach(serverId, qmpControl(process)),
    state: gate.state.bind(gate),
    servers: gate.servers.bind(gate),
    close: () => {
      gate.close();
      journal.close();
    },
  };
}
