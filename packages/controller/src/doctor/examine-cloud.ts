import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Finding, ok, problem, warning } from '@godwit/domain/doctor/finding';
import { certificateFinding, clockFinding, roomFinding, standbyFindings, versionsFinding } from '@godwit/domain/doctor/rules';
import type { HostFacts } from '@godwit/domain/host';
import { as, type HostId } from '@godwit/domain/ids';
import { godwitVersion } from '@godwit/domain/version';
import { sql } from 'kysely';
import { agentFailure } from '../agents/agent-error.ts';
import type { AppContext } from '../app-context.ts';
import type { Db } from '../store/database.ts';
import { findProblems } from '../stuck/find-problems.ts';

const ASK_MS = 3_000;
/** 15 is the oldest that the statements are written for. */
const OLDEST_POSTGRES = 150_000;
const DEAD_AFTER_MS = 15_000;

type Host = {
  readonly id: string;
  readonly name: string;
  readonly reachable: boolean;
  readonly enabled: boolean;
  readonly facts: HostFacts;
};

/** Everything that can be seen of a cloud from its controller: hosts, versions, clocks, self tests, room, certificates, database, controllers, and what is stuck. Changes nothing. */
export async function examineCloud(context: Pick<AppContext, 'db' | 'agents' | 'config'>): Promise<readonly Finding[]> {
  const { db, agents, config } = context;
  const hosts: readonly Host[] = await db
    .selectFrom('host')
    .select(['id', 'name', 'reachable', 'enabled', 'facts'])
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .execute();
  const real = hosts.filter(({ facts }) => facts.hypervisorType !== 'ironic');
  const heard = real.filter(({ reachable }) => reachable);
  const [clocks, stuck, database, controllers, certificates] = await Promise.all([
    Promise.all(heard.map((host) => clockOf(context, host))),
    findProblems(db, agents),
    examineDatabase(db),
    examineControllers(db),
    examineCertificates(db, config.tls),
  ]);
  return [
    ...(hosts.length === 0
      ? [warning('hosts', '', 'No host has joined.', 'godwit host add NAME prints what to do on the first one.')]
      : []),
    ...(hosts.length > 0 && heard.length === real.length ? [ok('hosts', '', `All ${hosts.length} hosts are heard from.`)] : []),
    ...stuck.map((one) => problem(one.kind, one.subject.name, one.sentence, one.action.sentence)),
    ...(real.length === 0
      ? []
      : [
          versionsFinding(
            'QEMU',
            grouped(real, (facts) => facts.qemuVersion),
          ),
        ]),
    ...(hosts.length === 0
      ? []
      : [
          versionsFinding(
            'agent',
            grouped(hosts, (facts) => facts.agentVersion),
          ),
        ]),
    ...clocks,
    ...real.flatMap(hostFindings),
    ...database,
    ...controllers,
    ...certificates,
  ];
}

function grouped(hosts: readonly Host[], version: (facts: HostFacts) => string): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { name, facts } of hosts) groups.set(version(facts), [...(groups.get(version(facts)) ?? []), name]);
  return groups;
}

async function clockOf({ agents }: Pick<AppContext, 'agents'>, host: Host): Promise<Finding> {
  try {
    const client = await agents.client(as<HostId>(host.id));
    const before = Date.now();
    const { nowMs } = await client.getHost({}, { timeoutMs: ASK_MS });
    const after = Date.now();
    return clockFinding(host.name, nowMs - (before + after) / 2, (after - before) / 2 + 1);
  } catch (error) {
    const { message } = agentFailure(error);
    return problem(
      'agent',
      host.name,
      `The agent of ${host.name} did not answer just now: ${message}.`,
      `On ${host.name}: systemctl status godwit-agent, then godwit doctor --config /etc/godwit/agent.yaml.`,
    );
  }
}

function hostFindings({ name, facts, enabled }: Host): readonly Finding[] {
  const failed = facts.selfTest.filter(({ works }) => !works);
  const accelerated = facts.accelerator !== 'tcg';
  return [
    ...facts.pools.map((pool) => roomFinding(name, `The ${pool.kind} pool ${pool.name} of ${name}`, pool.freeBytes, pool.totalBytes)),
    ...(facts.pools.length === 0 && facts.accelerator !== 'simulated'
      ? [
          problem(
            'pools',
            name,
            `${name} has no pool that works: no instance can be placed there.`,
            `On ${name}: godwit doctor --config /etc/godwit/agent.yaml says why.`,
          ),
        ]
      : []),
    // Simulated hosts test nothing.
    ...(failed.length === 0 && facts.selfTest.length > 0
      ? [ok('self-test', name, `${facts.selfTest.length} features were tested on ${name} and work.`)]
      : failed.map((one) =>
          problem(
            'self-test',
            name,
            `${one.feature} does not work on ${name}: ${one.detail}.`,
            `Moves that need it avoid ${name}. Upgrade its QEMU, then systemctl restart godwit-agent: it is tested again.`,
          ),
        )),
    ...(accelerated
      ? []
      : [
          warning(
            'kvm',
            name,
            `Guests on ${name} run without KVM: ${facts.acceleratorReason}.`,
            'Turn virtualization on in the firmware (or nested virtualization in the hypervisor below) and load kvm_intel or kvm_amd.',
          ),
        ]),
    ...(enabled
      ? []
      : [
          warning(
            'enabled',
            name,
            `${name} is disabled: nothing is placed there.`,
            `godwit compute service set --enable ${name} nova-compute, or godwit host restore ${name}.`,
          ),
        ]),
  ];
}

async function examineDatabase(db: Db): Promise<readonly Finding[]> {
  const { rows } = await sql<{
    version: number;
    commit: string;
    fsync: string;
    names: string;
    standbys: number;
  }>`select current_setting('server_version_num')::integer as version,
    current_setting('synchronous_commit') as commit, current_setting('fsync') as fsync,
    current_setting('synchronous_standby_names') as names, (select count(*)::integer from pg_stat_replication) as standbys`.execute(db);
  const [found] = rows;
  if (found === undefined) return [];
  return [
    found.version < OLDEST_POSTGRES
      ? problem('database', '', `PostgreSQL is version ${Math.floor(found.version / 10_000)}.`, 'Use PostgreSQL 15 or newer.')
      : ok('database', '', `PostgreSQL is version ${Math.floor(found.version / 10_000)}.`),
    found.commit === 'off' || found.fsync === 'off'
      ? problem(
          'database',
          '',
          `The database may lose what it has confirmed: synchronous_commit is ${found.commit}, fsync is ${found.fsync}.`,
          'Set both to on: who runs what is decided by commits.',
        )
      : ok('database', '', `The database keeps what it has confirmed (synchronous_commit ${found.commit}).`),
    ...standbyFindings(found),
  ];
}

async function examineControllers(db: Db): Promise<readonly Finding[]> {
  const rows = await db.selectFrom('executor').select(['name', 'application_version', 'heartbeat_at']).orderBy('name').execute();
  const living = rows.filter((row) => Date.now() - row.heartbeat_at.getTime() < DEAD_AFTER_MS);
  const versions = new Set(living.map((row) => row.application_version));
  return [
    versions.size > 1
      ? warning(
          'controllers',
          '',
          `Controllers of different versions run: ${living.map((row) => `${row.name} (${row.application_version})`).join(', ')}.`,
          'Finish the upgrade of the controllers.',
        )
      : ok(
          'controllers',
          '',
          `${living.length === 1 ? '1 controller runs' : `${living.length} controllers run`} (godwit ${godwitVersion}): ${living.map((row) => row.name).join(', ')}.`,
        ),
  ];
}

async function examineCertificates(db: Db, tls: AppContext['config']['tls']): Promise<readonly Finding[]> {
  const authority = await db.selectFrom('certificate_authority').select('not_after').orderBy('not_after', 'desc').executeTakeFirst();
  const findings: Finding[] = [];
  if (authority !== undefined)
    findings.push(
      certificateFinding(
        '',
        'The authority of the hosts',
        authority.not_after.getTime(),
        Date.now(),
        300,
        'A successor is made by itself; restart a controller if none is there within a day.',
      ),
    );
  if (tls !== null) {
    const renew = `Put a new certificate into ${tls.certificate}, then systemctl reload godwit-controller.`;
    try {
      const { validTo } = new X509Certificate(await readFile(tls.certificate));
      findings.push(certificateFinding('', 'The certificate of the public APIs', Date.parse(validTo), Date.now(), 21, renew));
    } catch (error) {
      findings.push(problem('certificate', '', `The certificate of the public APIs cannot be read: ${(error as Error).message}.`, renew));
    }
  }
  return findings;
}
