import type { ServerGroupView } from '@godwit/contract/schemas/godwit/server-groups';
import type { Host } from '../api/hosts.ts';
import { isOver, type Migration } from '../api/migrations.ts';
import type { OperationSummary } from '../api/operations.ts';
import type { Server } from '../api/servers.ts';
import { formatDuration, parseTime } from './formats.ts';
import { percentile } from './percentiles.ts';

/** Something that is stuck, or not as it should be: what was seen of it, and what can safely be done. */
export type OddThing = {
  readonly key: string;
  readonly kind: 'migration' | 'host' | 'instance' | 'confirmation' | 'group' | 'operation';
  readonly subject: string;
  /** Where the subject's own page is. */
  readonly path: string;
  readonly search?: Readonly<Record<string, string>>;
  readonly evidence: string;
  readonly action: string;
};

export type OddInputs = {
  readonly now: number;
  readonly migrations: readonly Migration[];
  readonly hosts: readonly Host[];
  /** Servers in ERROR. */
  readonly failed: readonly Server[];
  /** Servers in VERIFY_RESIZE. */
  readonly waiting: readonly Server[];
  readonly groups: readonly ServerGroupView[];
  readonly operations: readonly OperationSummary[];
};

/** A move is older than usual when it has taken so many times what nineteen of twenty took, and at least a minute. */
const usualTimes = 3;
const leastMs = 60_000;
/** Nobody looks for a confirmation every minute; room on two hosts for longer than this is forgotten. */
const forgottenMs = 3_600_000;
/** A host's agent is heard from every second. */
const silentMs = 30_000;

/** Everything odd, the most urgent kinds first. */
export function oddThings(inputs: OddInputs): readonly OddThing[] {
  return [...oddHosts(inputs), ...oddMigrations(inputs), ...oddInstances(inputs), ...oddGroups(inputs), ...oddOperations(inputs)];
}

function oddMigrations({ now, migrations }: OddInputs): readonly OddThing[] {
  return migrations
    .filter((move) => !isOver(move.status) && move.status !== 'finished')
    .flatMap((move): readonly OddThing[] => {
      const past = migrations.filter((one) => one.type === move.type && one.status === 'completed' && one.finishedAt !== null);
      const usual = percentile(
        past.map((one) => parseTime(one.finishedAt ?? one.createdAt) - parseTime(one.createdAt)),
        0.95,
      );
      const age = now - parseTime(move.createdAt);
      if (age < Math.max(leastMs, usualTimes * (usual ?? 0))) return [];
      const compared =
        usual === null ? 'no move of this kind has completed yet' : `nineteen of twenty such moves took less than ${formatDuration(usual)}`;
      return [
        {
          key: `migration ${move.id}`,
          kind: 'migration',
          subject: `Run ${move.apiId}: ${move.serverName}`,
          path: `/admin/migrations/${move.id}`,
          evidence: `${move.phase} for ${formatDuration(age)} in all; ${compared}.`,
          action:
            move.queuePosition !== null
              ? 'It waits for the moves before it; look at those.'
              : 'Its page says what it waits for. Abort leaves the guest where it runs.',
        },
      ];
    });
}

function oddHosts({ now, hosts }: OddInputs): readonly OddThing[] {
  return hosts
    .filter((host) => host.state === 'down')
    .map((host): OddThing => {
      const silent = host.seenAt === null ? null : now - parseTime(host.seenAt);
      const seen =
        host.seenAt === null
          ? 'Never heard from'
          : silent !== null && silent > silentMs
            ? `Not heard from for ${formatDuration(silent)}`
            : 'Reported as down';
      return {
        key: `host ${host.id}`,
        kind: 'host',
        subject: host.name,
        path: '/admin/instances',
        search: { host: host.name },
        evidence: `${seen}${host.forcedDown ? ', forced down' : ''}; ${host.instances} ${host.instances === 1 ? 'instance is' : 'instances are'} recorded on it.`,
        action:
          host.instances === 0
            ? 'Bring the host back, or delete its service.'
            : 'Wait for it: its guests may run on while its agent is away. Only when it is certainly dead, Evacuate on Compute Hosts.',
      };
    });
}

function oddInstances({ now, failed, waiting }: OddInputs): readonly OddThing[] {
  return [
    ...failed.map(
      (server): OddThing => ({
        key: `instance ${server.id}`,
        kind: 'instance',
        subject: server.name,
        path: `/admin/instances/${server.id}`,
        evidence: server.fault?.message ?? 'In status Error.',
        action: 'Read the fault and the action log; Reboot starts it again from its disk under a new grant.',
      }),
    ),
    ...waiting
      .filter((server) => now - parseTime(server.updated) > forgottenMs)
      .map(
        (server): OddThing => ({
          key: `confirmation ${server.id}`,
          kind: 'confirmation',
          subject: server.name,
          path: `/admin/instances/${server.id}`,
          evidence: `In Verify Resize for ${formatDuration(now - parseTime(server.updated))}: it holds room on two hosts.`,
          action: 'Confirm or revert it.',
        }),
      ),
  ];
}

const oddGroups = ({ groups }: OddInputs): readonly OddThing[] =>
  groups.flatMap((group) =>
    group.violations.map(
      ({ sentence }): OddThing => ({
        key: `group ${group.id} ${sentence}`,
        kind: 'group',
        subject: group.name,
        path: '/admin/server-groups',
        evidence: sentence,
        action: 'Live Migrate a member to a host that keeps the rule.',
      }),
    ),
  );

const oddOperations = ({ now, operations }: OddInputs): readonly OddThing[] =>
  operations
    .filter((one) => one.state === 'paused' && now - Date.parse(one.updatedAt) > forgottenMs)
    .map(
      (one): OddThing => ({
        key: `operation ${one.id}`,
        kind: 'operation',
        subject: `${one.kind} of ${one.hosts.map(({ host }) => host.name).join(', ')}`,
        path: `/admin/operations/${one.id}`,
        evidence: `Paused for ${formatDuration(now - Date.parse(one.updatedAt))}, ${one.counts.waiting} wait.`,
        action: 'Resume it, or abort the rest.',
      }),
    );
