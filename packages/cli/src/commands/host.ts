import type { Cloud } from '../cloud/cloud.ts';
import type { Command, CommandOption, Input, Terminal } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { followOperation } from '../follow-operation.ts';
import { type Json, type JsonObject, objectAt, objectsAt, textAt } from '../json.ts';
import { itemLine, operationLine } from '../operation-text.ts';
import { planText } from '../plan-text.ts';
import { computeHostCommands } from './compute-host.ts';
import { forEach } from './for-each.ts';

const waiting: CommandOption = {
  flags: '--wait',
  description: 'show every move and wait until it has ended; exits with 4 if something was not moved',
};
const parallel: CommandOption = {
  flags: '--parallel <count>',
  description: 'moves at the same time, within the limits of the links (1)',
  kind: 'integer',
};

const leaving: readonly CommandOption[] = [
  { flags: '--reason <reason>', description: 'why, shown in every verdict about this host; only a plan needs none' },
  parallel,
  { flags: '--at-most <count>', description: 'hosts at the same time (1)', kind: 'integer' },
  { flags: '--move-others', description: 'servers of other hosts may move too, where that makes room' },
  { flags: '--dry-run', description: 'only show the plan, and what cannot move and why' },
  waiting,
];

export const commands: readonly Command[] = [
  ...computeHostCommands,
  leave('drain', 'Disable host(s), move everything away, prove them empty'),
  leave('maintenance', 'As drain; the host(s) count as in maintenance until `godwit host restore`'),
  {
    words: 'host rolling',
    summary: 'Maintenance of several hosts one after the other, each restored before the next begins',
    arguments: ['<host...>'],
    options: [
      ...leaving,
      { flags: '--until <event>', description: 'when the work on a host is done', choices: ['operator', 'reboot'] },
      { flags: '--no-bring-home', description: 'leave the servers where they went' },
    ],
    output: 'none',
    run: async (cloud, input, terminal) => {
      if (!input.flag('dry-run'))
        return begin(cloud, input, terminal, {
          kind: 'rolling',
          ...leavingBody(input),
          ...(input.text('until') === null ? {} : { until: input.text('until') }),
          ...(input.flag('no-bring-home') ? { bringHome: false } : {}),
        });
      // Each leaves the others as they are now: what it empties is filled again before the next.
      await forEach(input.arguments('host'), terminal, async (host) => {
        terminal.out(`${host}:\n`);
        await showPlan(cloud, terminal, planBody(input, [host]));
      });
    },
  },
  {
    words: 'host restore',
    summary: 'Enable a host and bring home what left it',
    arguments: ['<host>'],
    options: [{ flags: '--no-bring-home', description: 'leave the servers where they went' }, parallel, waiting],
    output: 'none',
    run: async (cloud, input, terminal) =>
      begin(cloud, input, terminal, {
        kind: 'restore',
        host: input.argument('host'),
        bringHome: !input.flag('no-bring-home'),
        ...parallelOf(input),
      }),
  },
  {
    words: 'host evacuate',
    summary: 'Restart elsewhere, from disk, what a dead host had',
    arguments: ['<host>'],
    options: [
      {
        flags: '--confirmed-dead',
        description:
          'your own word that nothing on the host runs or reaches any disk: if that is wrong, two copies of its servers run on the same disks',
      },
      { flags: '--host <host>', description: 'to this host; the scheduler chooses by default' },
      parallel,
      { flags: '--dry-run', description: 'only show the plan' },
      waiting,
    ],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const destination = input.text('host');
      if (input.flag('dry-run'))
        return showPlan(cloud, terminal, { kind: 'evacuate', select: { host: input.argument('host') }, destination });
      return begin(cloud, input, terminal, {
        kind: 'evacuate',
        host: input.argument('host'),
        ...(input.flag('confirmed-dead') ? { confirmedDead: true } : {}),
        ...(destination === null ? {} : { destination }),
        ...parallelOf(input),
      });
    },
  },
  {
    words: 'host add',
    summary: 'Print the one-time token with which a host joins, and what to do on it',
    arguments: ['<host>'],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const made = objectAt(await (await cloud.service('godwit')).post('/join-tokens', { host: input.argument('host') }), 'joinToken');
      terminal.err(
        `On ${textAt(made, 'host')}: write the token to the agent's joinTokenFile, set controllerUrl, start godwit-agent. The token works once, until ${textAt(made, 'expiresAt')}.\n`,
      );
      return [
        ['host', made.host ?? null],
        ['token', made.token ?? null],
        ['controller_url', made.controllerUrl ?? null],
        ['expires_at', made.expiresAt ?? null],
      ];
    },
  },
  {
    words: 'host fence',
    summary: 'Your word that a silent host is powered off or cut off for good, so that nothing waits for it',
    arguments: ['<host>'],
    options: [{ flags: '--confirmed', description: 'without it nothing changes, and what a false word does is printed' }],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const body = await (await cloud.service('godwit')).post(`/hosts/${encodeURIComponent(input.argument('host'))}/fence`, {
        confirmed: input.flag('confirmed'),
      });
      terminal.out(`${textAt(objectAt(body, 'host'), 'name')} is fenced. ${textAt(body, 'warning')}\n`);
    },
  },
  {
    words: 'bulk migrate',
    summary: 'Live-migrate many servers: of a host, a group, a project, or named',
    arguments: ['[server...]'],
    options: [
      { flags: '--from-host <host>', description: 'the servers of this host' },
      { flags: '--group <group>', description: 'the members of this server group (name or ID)' },
      { flags: '--project <project>', description: 'the servers of this project (name or ID)' },
      { flags: '--host <host>', description: 'all to this host; the scheduler chooses for each by default' },
      { flags: '--block-migration', description: 'copy local disks (by default where there are any)' },
      { flags: '--shared-migration', description: 'move only what has no local disks' },
      parallel,
      { flags: '--move-others', description: 'other servers may move too, where that makes room' },
      { flags: '--dry-run', description: 'only show the plan' },
      waiting,
    ],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const body = {
        kind: 'bulk',
        select: await selection(cloud, input),
        destination: input.text('host'),
        blockMigration: input.flag('block-migration') ? true : input.flag('shared-migration') ? false : 'auto',
        ...(input.flag('move-others') ? { moveOthers: true } : {}),
        ...parallelOf(input),
      };
      return input.flag('dry-run') ? showPlan(cloud, terminal, body) : begin(cloud, input, terminal, body);
    },
  },
];

function leave(kind: 'drain' | 'maintenance', summary: string): Command {
  return {
    words: `host ${kind}`,
    summary,
    arguments: ['<host...>'],
    options: leaving,
    output: 'none',
    run: async (cloud, input, terminal) => {
      if (!input.flag('dry-run')) return begin(cloud, input, terminal, { kind, ...leavingBody(input) });
      return showPlan(cloud, terminal, planBody(input, input.arguments('host')));
    },
  };
}

const planBody = (input: Input, hosts: readonly string[]): JsonObject => ({
  kind: 'drain',
  select: { hosts: [...hosts] },
  ...parallelOf(input),
  ...(input.flag('move-others') ? { moveOthers: true } : {}),
});

const parallelOf = (input: Input): JsonObject => {
  const count = input.integer('parallel');
  return count === null ? {} : { parallel: count };
};

function leavingBody(input: Input): JsonObject {
  const reason = input.text('reason');
  if (reason === null)
    throw new CommandError('--reason is missing: it is shown in every verdict about the host.', {
      exitCode: exitCodes.usage,
      next: 'For instance --reason "disk replacement". A plan (--dry-run) needs none.',
    });
  return {
    hosts: [...input.arguments('host')],
    reason,
    ...parallelOf(input),
    ...(input.integer('at-most') === null ? {} : { atMost: input.integer('at-most') }),
    ...(input.flag('move-others') ? { moveOthers: true } : {}),
  };
}

async function selection(cloud: Cloud, input: Input): Promise<JsonObject> {
  const { findId } = await import('../cloud/find.ts');
  const servers = input.arguments('server');
  const [host, group, project] = [input.text('from-host'), input.text('group'), input.text('project')];
  const given = [servers.length > 0, host !== null, group !== null, project !== null].filter(Boolean).length;
  if (given !== 1) throw new CommandError('Name servers, or one of --from-host, --group and --project.', { exitCode: exitCodes.usage });
  if (host !== null) return { host };
  if (group !== null) return { serverGroup: await findId(cloud, 'group', group, { all_projects: true }) };
  if (project !== null) return { project: await findId(cloud, 'project', project) };
  return { servers: await Promise.all(servers.map(async (server) => findId(cloud, 'server', server, { all_tenants: true }))) };
}

async function showPlan(cloud: Cloud, terminal: Terminal, body: Json): Promise<void> {
  const plan = objectAt(await (await cloud.service('godwit')).post('/plans', body), 'plan');
  terminal.out(planText(plan, terminal.isTerminal ? terminal.columns : 120));
  if (plan.complete !== true) throw new CommandError('Not everything can move. Nothing was moved.');
}

async function begin(cloud: Cloud, input: Input, terminal: Terminal, body: Json): Promise<void> {
  const operation = objectAt(await (await cloud.service('godwit')).post('/operations', body), 'operation');
  const id = textAt(operation, 'id');
  terminal.out(`${operationLine(operation)}\n`);
  if (input.flag('wait')) return followOperation(cloud, id, terminal);
  for (const item of objectsAt(operation, 'items')) {
    const line = item.state === 'excluded' ? itemLine(item) : null;
    if (line !== null) terminal.out(`${line}\n`);
  }
  terminal.out(`Follow it with \`godwit drain watch ${id}\`.\n`);
}
