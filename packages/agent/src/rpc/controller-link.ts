import { createClient } from '@connectrpc/connect';
import { Cluster } from '@godwit/contract/gen/join_pb';
import type { ReleaseNotice } from '../drivers/host-driver.ts';
import type { CurrentIdentity } from '../host-agent.ts';
import { delay } from '../migration/deadline.ts';
import { createTlsTransport, type TlsTransport } from './tls-transport.ts';

/** What an agent tells its controllers of its own accord. */
export type ControllerLink = {
  /** Repeats a release to the controller until it has heard it, for as long as it may matter; never rejects. The controller relays it to a destination that did not hear the source. */
  reportRelease(release: ReleaseNotice): Promise<void>;
  close(): void;
};

const answerMs = 5_000;
const retryMs = [100, 500, 1_000, 2_000, 5_000] as const;
/** After this the controller has long asked by itself (GetMigration). */
const giveUpAfterMs = 600_000;

export function openControllerLink(controllerUrl: string, identity: CurrentIdentity): ControllerLink {
  let link: TlsTransport | undefined;
  let closed = false;
  return {
    reportRelease: async ({ serverId, migrationId, destination, epoch, stoppedAtMs, completedAtMs }) => {
      const until = performance.now() + giveUpAfterMs;
      for (let turn = 0; !closed && performance.now() < until; turn += 1) {
        try {
          link ??= createTlsTransport(controllerUrl, identity.current, { role: 'controller' });
          await createClient(Cluster, link.transport).reportRelease(
            { serverId, migrationId, destinationHostId: destination, epoch: BigInt(epoch), stoppedAtMs, completedAtMs },
            { timeoutMs: answerMs },
          );
          return;
        } catch {
          // With the certificate of then: a later attempt makes a new connection with that of now.
          link?.close();
          link = undefined;
          await delay(retryMs[Math.min(turn, retryMs.length - 1)] ?? 5_000);
        }
      }
    },
    close: () => {
      closed = true;
      link?.close();
    },
  };
}
