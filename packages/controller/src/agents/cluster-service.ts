import { Code, ConnectError, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { type CertificateRole, hostCertificateUri } from '@godwit/contract/certificate-names';
import type { Cluster } from '@godwit/contract/gen/join_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import { as, type HostId } from '@godwit/domain/ids';
import type { Logger } from 'pino';
import { authorities, LEAF_LIFETIME_MS } from '../auth/certificate-authority.ts';
import { issueForRequest } from '../auth/issue-certificate.ts';
import { useJoinToken } from '../auth/join-token.ts';
import type { Db } from '../store/database.ts';
import { callerKey } from './caller-key.ts';
import { registerHost } from './register-host.ts';

export type ClusterServiceParts = {
  readonly db: Db;
  readonly log: Logger;
  /** Told of a host whose address, certificate or boot may have changed. */
  readonly onHostChanged: (host: HostId) => void;
  readonly onRelease: (from: HostId, release: ReportedRelease) => Promise<void>;
};

/** The source's word, repeated to the controller. */
export type ReportedRelease = {
  readonly serverId: string;
  readonly migrationId: string;
  readonly destinationHostId: string;
  readonly epoch: number;
  readonly stoppedAtMs: number;
  readonly completedAtMs: number;
};

/** What hosts may ask of a controller. Join needs a token; the others a certificate of a host that is still part of the cloud. */
export function clusterService(parts: ClusterServiceParts): ServiceImpl<typeof Cluster> {
  const { db, log } = parts;
  return {
    join: (request) =>
      answering(async () => {
        const { secretHash, hostName, joined } = await useJoinToken(db, request.token, request.certificateRequestPem);
        if (hostName !== null && hostName !== request.hostName)
          throw new GodwitError('Forbidden', `the join token is for host ${hostName}, not for ${request.hostName}`);
        const known = await authorities(db);
        const host = await registerHost(db, {
          name: request.hostName,
          mayReplace: hostName !== null,
          again: joined,
          address: request.address,
          rpcPort: request.rpcPort,
          bootId: request.bootId,
          zone: request.zone === '' ? null : request.zone,
          facts: parseFacts(request.factsJson),
          tokenHash: secretHash,
        });
        const { certificatePem } = await signed(() =>
          issueForRequest(
            known.issuing,
            request.certificateRequestPem,
            hostCertificateUri(host),
            [request.address, request.hostName],
            LEAF_LIFETIME_MS,
          ),
        );
        log.info({ host, name: request.hostName, address: request.address }, 'a host has joined');
        parts.onHostChanged(host);
        return { hostId: host, certificatePem, caPem: known.bundlePem };
      }),
    renew: (request, context) =>
      answering(async () => {
        const host = await callingHost(db, context);
        const row = await db
          .updateTable('host')
          .set({ address: request.address, rpc_port: request.rpcPort, updated_at: new Date() })
          .where('id', '=', host)
          .returning('name')
          .executeTakeFirstOrThrow();
        const known = await authorities(db);
        const { certificatePem } = await signed(() =>
          issueForRequest(
            known.issuing,
            request.certificateRequestPem,
            hostCertificateUri(host),
            [request.address, row.name],
            LEAF_LIFETIME_MS,
          ),
        );
        parts.onHostChanged(host);
        return { certificatePem, caPem: known.bundlePem };
      }),
    reportRelease: (request, context) =>
      answering(async () => {
        const host = await callingHost(db, context);
        await parts.onRelease(host, {
          serverId: request.serverId,
          migrationId: request.migrationId,
          destinationHostId: request.destinationHostId,
          epoch: Number(request.epoch),
          stoppedAtMs: request.stoppedAtMs,
          completedAtMs: request.completedAtMs,
        });
        return {};
      }),
  };
}

async function callingHost(db: Db, context: HandlerContext): Promise<HostId> {
  const role: CertificateRole | null = context.values.get(callerKey);
  if (role?.role !== 'host') throw new GodwitError('Unauthorized', 'only a host with a certificate of this cluster may ask this');
  const row = await db.selectFrom('host').select('id').where('id', '=', role.hostId).where('deleted_at', 'is', null).executeTakeFirst();
  if (row === undefined) throw new GodwitError('Unauthorized', 'the host of this certificate is not part of the cloud any more');
  return as<HostId>(row.id);
}

async function signed<T>(issue: () => Promise<T>): Promise<T> {
  try {
    return await issue();
  } catch (error) {
    throw new GodwitError('BadRequest', error instanceof Error ? error.message : String(error), {}, { cause: error });
  }
}

function parseFacts(text: string): HostFacts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GodwitError('BadRequest', 'the host facts are not JSON', {}, { cause: error });
  }
  const facts = value as Partial<HostFacts> | null;
  if (
    typeof facts !== 'object' ||
    facts === null ||
    (facts.hypervisorType !== 'QEMU' && facts.hypervisorType !== 'ironic') ||
    !Array.isArray(facts.pools)
  ) {
    throw new GodwitError('BadRequest', 'the host facts lack a hypervisor type or pools');
  }
  return facts as HostFacts;
}

async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    const code =
      error.code === 'Unauthorized'
        ? Code.Unauthenticated
        : error.code === 'Forbidden'
          ? Code.PermissionDenied
          : error.code === 'BadRequest'
            ? Code.InvalidArgument
            : Code.FailedPrecondition;
    throw new ConnectError(error.message, code, { 'godwit-code': error.code }, undefined, error);
  }
}
