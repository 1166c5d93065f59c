import { readFile } from 'node:fs/promises';
import type { HostFacts } from '@godwit/domain/host';
import type { HostDriver } from './drivers/host-driver.ts';
import { type HostIdentity, loadHostIdentity, storeHostIdentity } from './identity/host-identity.ts';
import { joinCluster } from './identity/join.ts';
import { JoinRefused, refusalOf } from './identity/join-refused.ts';
import { type JoinToken, parseJoinToken } from './identity/join-token.ts';
import { forgetPendingRequest, pendingRequest } from './identity/pending-request.ts';
import { keepRenewed, renewIdentity } from './identity/renewal.ts';
import type { ReadLogs } from './rpc/agent-service.ts';
import { type RpcLog, startRpcServer } from './rpc/rpc-server.ts';

/** One host of this process, before it has an identity. */
export type HostSetup = {
  readonly hostName: string;
  readonly stateDir: string;
  readonly address: string;
  readonly rpcPort: number;
  readonly controllerUrl: string;
  readonly bootId: string;
  readonly zone: string;
  /** Reads the join token; called only while the host has no certificate. */
  readonly joinToken: () => Promise<string>;
  /** For the join, before there is a driver. */
  readonly facts: () => Promise<HostFacts>;
  readonly openDriver: (identity: CurrentIdentity) => Promise<HostDriver>;
  readonly readLogs: ReadLogs;
  readonly log: RpcLog & {
    readonly info: (fields: Record<string, unknown>, message: string) => void;
    readonly warn: (fields: Record<string, unknown>, message: string) => void;
  };
};

/** The identity in use: its certificate changes while the agent runs, its host id never. */
export type CurrentIdentity = { current: HostIdentity };

export type HostAgent = { readonly driver: HostDriver; readonly rpcPort: number; close(): Promise<void> };

/** How long to wait before an unanswered join is tried again. */
const joinRetryMs = 2_000;

/**
 * Brings one host up: identity (joining first where there is none), driver (which adopts what an earlier agent left), RPC. When it returns the host serves.
 * A controller that is away delays only the join. Throws `JoinRefused` when there is no token, it is none, or the controller refuses it, and when a file is damaged.
 */
export async function startHostAgent(setup: HostSetup, signal: AbortSignal): Promise<HostAgent> {
  const { log } = setup;
  const identity: CurrentIdentity = { current: (await loadHostIdentity(setup.stateDir)) ?? (await joined(setup, signal)) };
  log.info({ hostId: identity.current.hostId, notAfter: new Date(identity.current.notAfterMs).toISOString() }, 'identity ready');
  const driver = await setup.openDriver(identity);
  const server = await startRpcServer({
    driver,
    hostName: setup.hostName,
    identity: identity.current,
    address: setup.address,
    port: setup.rpcPort,
    log,
    readLogs: setup.readLogs,
  }).catch(async (error: unknown) => {
    await driver.close();
    throw error;
  });
  const renewal = keepRenewed(
    identity.current,
    (current) =>
      renewIdentity(setup.controllerUrl, current, {
        hostName: setup.hostName,
        address: setup.address,
        rpcPort: server.port,
        bootId: setup.bootId,
      }),
    async (next) => {
      await storeHostIdentity(setup.stateDir, next);
      identity.current = next;
      server.use(next);
      log.info({ notAfter: new Date(next.notAfterMs).toISOString() }, 'certificate renewed');
    },
    (error) => log.warn({ err: error }, 'the certificate could not be renewed yet'),
  );
  log.info({ address: setup.address, port: server.port }, 'agent serves');
  return {
    driver,
    rpcPort: server.port,
    close: async () => {
      renewal.stop();
      await server.close();
      await driver.close();
    },
  };
}

async function tokenOf({ joinToken, hostName }: HostSetup): Promise<JoinToken> {
  try {
    return parseJoinToken(await joinToken());
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new JoinRefused(`${why}: put what \`godwit host add ${hostName}\` prints into the file of joinTokenFile`, { cause: error });
  }
}

async function joined(setup: HostSetup, signal: AbortSignal): Promise<HostIdentity> {
  for (;;) {
    signal.throwIfAborted();
    const token = await tokenOf(setup);
    try {
      const presence = {
        hostName: setup.hostName,
        address: setup.address,
        rpcPort: setup.rpcPort,
        bootId: setup.bootId,
        zone: setup.zone,
        factsJson: JSON.stringify(await setup.facts()),
      };
      const request = await pendingRequest(setup.stateDir, setup.hostName);
      const identity = await joinCluster(setup.controllerUrl, token, presence, request);
      await storeHostIdentity(setup.stateDir, identity);
      await forgetPendingRequest(setup.stateDir);
      return identity;
    } catch (error) {
      const refusal = refusalOf(error, setup.hostName);
      if (refusal !== null) throw refusal;
      setup.log.warn({ err: error }, 'the host could not join yet');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, joinRetryMs);
        signal.addEventListener(
          'abort',
          () => {
            clearTimeout(timer);
            resolve();
          },
          { once: true },
        );
      });
    }
  }
}

/** Reads a boot id file: the kernel's, or one that a lab injects. */
export const readBootId = async (file: string): Promise<string> => (await readFile(file, 'utf8')).trim();
