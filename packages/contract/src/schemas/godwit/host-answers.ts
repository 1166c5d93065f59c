import { Type } from 'typebox';
import { Closed, Nullable, OneOf, Uuid } from '../closed.ts';

const Pool = Closed({
  name: Type.String(),
  poolId: Type.String(),
  kind: OneOf('shared', 'local'),
  totalBytes: Type.Number(),
  freeBytes: Type.Number(),
});

/** `GET /hosts` */
export const HostsAnswer = Closed({
  hosts: Type.Array(
    Type.Object({
      id: Uuid,
      name: Type.String(),
      restartGuestsAfterBoot: Type.Boolean(),
      reachable: Type.Boolean(),
      lastSeenAt: Nullable(Type.String()),
      fencedAt: Nullable(Type.String()),
      accelerator: OneOf('kvm', 'tcg', 'simulated', 'none'),
      acceleratorReason: Type.String(),
      qemuVersion: Type.String(),
      agentVersion: Type.String(),
      kernel: Type.String(),
      cpuModel: Type.String(),
      bootedAt: Type.String(),
      load: Type.Array(Type.Number()),
      /** How far each resource may be promised beyond what the host has. */
      allocationRatios: Closed({ vcpus: Type.Number(), ramMib: Type.Number(), diskGib: Type.Number() }),
      pools: Type.Array(Pool),
      selfTest: Type.Array(Closed({ feature: Type.String(), works: Type.Boolean(), detail: Type.String(), durationMs: Type.Number() })),
    }),
  ),
});

/** `PATCH /hosts/{name}` */
export const HostAnswer = Closed({
  host: Closed({ id: Uuid, name: Type.String(), restartGuestsAfterBoot: Type.Boolean(), migrationBandwidthBytes: Nullable(Type.Number()) }),
});

/** `POST /hosts/{name}/fence` (202) */
export const FencedAnswer = Closed({ host: Closed({ id: Uuid, name: Type.String(), fencedAt: Type.String() }), warning: Type.String() });

/** `POST /join-tokens` (201): the token is shown once. */
export const JoinTokenAnswer = Closed({
  joinToken: Closed({ host: Type.String(), token: Type.String(), expiresAt: Type.String(), controllerUrl: Type.String() }),
});
