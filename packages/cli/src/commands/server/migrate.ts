import type { Cloud } from '../../cloud/cloud.ts';
import { find, findId } from '../../cloud/find.ts';
import type { Command, Input, Terminal } from '../../command.ts';
import { CommandError, exitCodes } from '../../command-error.ts';
import { explainDestinations, summariseDestinations } from '../../explain-destinations.ts';
import { followMigration, latestMigration } from '../../follow-migration.ts';
import { type Json, type JsonObject, textAt } from '../../json.ts';
import { waitForServer } from '../../wait-for-server.ts';

export const serverMigrate: Command = {
  words: 'server migrate',
  summary: 'Migrate a server to a different host: running with --live-migration, through a shutdown without it',
  arguments: ['<server>'],
  options: [
    { flags: '--live-migration', description: 'move the running guest' },
    { flags: '--host <hostname>', description: 'to this host (live: 2.30, cold: 2.56); the scheduler chooses by default' },
    { flags: '--shared-migration', description: 'the disks are on shared storage' },
    { flags: '--block-migration', description: 'copy the local disks with the guest' },
    { flags: '--disk-overcommit', description: 'allow disk over-commit (below 2.25)' },
    { flags: '--no-disk-overcommit', description: 'do not over-commit disk (below 2.25)' },
    {
      flags: '--wait',
      description: 'show the progress and wait until the record has ended; exits with 4 if it ended otherwise than asked',
    },
    { flags: '--explain', description: 'only show every host, its verdict and the reasons; nothing moves' },
    { flags: '--dry-run', description: 'only say where it would go; nothing moves; exits with 1 if nowhere' },
  ],
  output: 'none',
  run: async (cloud, input, terminal) => {
    const live = input.flag('live-migration');
    if (!live && (input.flag('block-migration') || input.flag('disk-overcommit')))
      throw new CommandError('--live-migration must be specified if --block-migration or --disk-overcommit is specified', {
        exitCode: exitCodes.usage,
      });
    if (input.flag('block-migration') && input.flag('shared-migration'))
      throw new CommandError('--block-migration and --shared-migration exclude each other.', { exitCode: exitCodes.usage });
    const id = await findId(cloud, 'server', input.argument('server'));
    if (input.flag('explain') || input.flag('dry-run')) return explain(cloud, id, input, terminal);
    const body = live ? liveBody(cloud, input) : coldBody(cloud, input);
    const wait = input.flag('wait');
    const before = wait ? await latestMigration(cloud, id) : null;
    await (await cloud.compute()).post(`/servers/${id}/action`, body);
    if (!wait) return;
    const ended = await followMigration(cloud, id, before, terminal);
    // Without a record to follow (another cloud, no admin), what is left to see is the server.
    if (!ended) await waitByServer(cloud, id, live, input.text('host'), terminal);
  },
};

function liveBody(cloud: Cloud, input: Input): Json {
  const host = input.text('host');
  if (host !== null) cloud.require(30, 'migrate to a --host');
  const block = input.flag('block-migration') ? true : input.flag('shared-migration') || !cloud.supports(25) ? false : 'auto';
  const overcommit = cloud.supports(25) ? {} : { disk_over_commit: input.flag('disk-overcommit') };
  return { 'os-migrateLive': { host, block_migration: block, ...overcommit } };
}

function coldBody(cloud: Cloud, input: Input): Json {
  const host = input.text('host');
  if (host === null) return { migrate: null };
  cloud.require(56, 'use --host without --live-migration.');
  return { migrate: { host } };
}

async function explain(cloud: Cloud, id: string, input: Input, terminal: Terminal): Promise<void> {
  const block = input.flag('block-migration') ? 'true' : input.flag('shared-migration') ? 'false' : 'auto';
  const type = input.flag('live-migration') ? 'live' : 'cold';
  const body = await (await cloud.service('godwit')).get(`/servers/${id}/destinations`, { type, block });
  if (input.flag('explain')) terminal.out(explainDestinations(body, terminal.isTerminal ? terminal.columns : 120));
  const { sentence, possible } = summariseDestinations(body, input.text('host'));
  terminal.out(`${sentence}\n`);
  if (!possible) throw new CommandError('Nothing was moved.', { exitCode: exitCodes.failed });
}

async function waitByServer(cloud: Cloud, id: string, live: boolean, host: string | null, terminal: Terminal): Promise<void> {
  const server: JsonObject = await waitForServer(cloud, id, live ? ['ACTIVE', 'PAUSED'] : ['VERIFY_RESIZE'], terminal);
  const now = textAt(await find(cloud, 'server', id), 'OS-EXT-SRV-ATTR:host') || textAt(server, 'OS-EXT-SRV-ATTR:host');
  if (host !== null && now !== '' && now !== host)
    throw new CommandError(`The server is on ${now}, not on ${host}: the migration did not do what was asked.`, {
      exitCode: exitCodes.endedOtherwise,
      next: `\`godwit server migration list --server ${id}\` shows how it ended.`,
    });
  terminal.out(now === '' ? 'Complete\n' : `The server is on ${now}.\n`);
}
