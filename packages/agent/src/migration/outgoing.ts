import type { IncomingReady, MigrationPolicy, PeerAddress } from '../drivers/host-driver.ts';
import type { MoveGrant } from './move-grant.ts';

/** What the controller asks of the source of a move. */
export type Outgoing = {
  readonly grant: MoveGrant;
  readonly ready: IncomingReady;
  readonly policy: MigrationPolicy;
  readonly destination: PeerAddress;
};
