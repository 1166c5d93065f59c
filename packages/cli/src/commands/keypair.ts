import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import type { Cloud } from '../cloud/cloud.ts';
import type { Command, CommandOption, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { type Json, type JsonObject, objectAt, textAt } from '../json.ts';
import { forEach } from './for-each.ts';
import { idInDomain, userDomain } from './in-domain.ts';

const user: CommandOption = { flags: '--user <user>', description: "another user's keypairs (admin only, 2.10)" };

async function owner(cloud: Cloud, input: Input): Promise<{ readonly user_id: string | null }> {
  const given = input.text('user');
  if (given === null) return { user_id: null };
  cloud.require(10, 'support the --user option');
  return { user_id: await idInDomain(cloud, input, 'user', given) };
}

const path = (name: string): string => `/os-keypairs/${encodeURIComponent(name)}`;
const homePath = (file: string): string => file.replace(/^~(?=\/|$)/, homedir());

const fieldsOf = (keypair: JsonObject): ShowResult => [
  ['created_at', keypair.created_at ?? null],
  ['fingerprint', keypair.fingerprint ?? null],
  ['id', keypair.name ?? null],
  ['is_deleted', keypair.deleted ?? null],
  ['name', keypair.name ?? null],
  ['type', keypair.type ?? 'ssh'],
  ['user_id', keypair.user_id ?? null],
];

export const commands: readonly Command[] = [
  {
    words: 'keypair list',
    summary: 'List key fingerprints',
    options: [
      user,
      userDomain,
      { flags: '--marker <marker>', description: 'the last keypair of the previous page (2.35)' },
      { flags: '--limit <limit>', description: 'the largest number of keypairs (2.35)', kind: 'integer' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      for (const name of ['marker', 'limit']) if (input.text(name) !== null) cloud.require(35, `support the --${name} option`);
      const list = await (await cloud.compute()).all('/os-keypairs', 'keypairs', {
        ...(await owner(cloud, input)),
        marker: input.text('marker'),
        limit: input.integer('limit'),
      });
      const keys = list.map((each) => objectAt(each, 'keypair'));
      const typed = cloud.supports(2);
      return {
        columns: ['Name', 'Fingerprint', ...(typed ? ['Type'] : [])],
        rows: keys.map((key) => [key.name ?? null, key.fingerprint ?? null, ...(typed ? [key.type ?? 'ssh'] : [])]),
      };
    },
  },
  {
    words: 'keypair show',
    summary: 'Show key details',
    arguments: ['<key>'],
    options: [user, userDomain, { flags: '--public-key', description: 'print only the public key' }],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const query = await owner(cloud, input);
      const suffix = query.user_id === null ? '' : `?user_id=${encodeURIComponent(query.user_id)}`;
      const keypair = objectAt(await (await cloud.compute()).get(path(input.argument('key')) + suffix), 'keypair');
      if (!input.flag('public-key')) return fieldsOf(keypair);
      terminal.out(textAt(keypair, 'public_key'));
      return [];
    },
  },
  {
    words: 'keypair create',
    summary: 'Create a new key pair: prints the private key once, unless a public key is given',
    arguments: ['<name>'],
    options: [
      { flags: '--public-key <file>', description: 'import this public key' },
      { flags: '--private-key <file>', description: 'save the private key there' },
      { flags: '--type <type>', description: 'ssh (default) or x509 (2.2)', choices: ['ssh', 'x509'] },
      user,
      userDomain,
    ],
    output: 'show',
    run: async (cloud, input, terminal) => {
      const [publicFile, privateFile, type] = [input.text('public-key'), input.text('private-key'), input.text('type')];
      if (type !== null) cloud.require(2, 'support the --type option');
      const given: Record<string, Json> = { name: input.argument('name') };
      if (publicFile !== null) given.public_key = await keyFile(publicFile);
      if (type !== null) given.type = type;
      const { user_id } = await owner(cloud, input);
      if (user_id !== null) given.user_id = user_id;
      const keypair = objectAt(await (await cloud.compute()).post('/os-keypairs', { keypair: given }), 'keypair');
      const secret = textAt(keypair, 'private_key');
      if (privateFile !== null) await writeFile(homePath(privateFile), secret, { mode: 0o600 });
      if (publicFile !== null || privateFile !== null) return fieldsOf(keypair);
      terminal.out(secret);
      return [];
    },
  },
  {
    words: 'keypair delete',
    summary: 'Delete key(s)',
    arguments: ['<key...>'],
    options: [user, userDomain],
    output: 'none',
    run: async (cloud, input, terminal) => {
      const query = await owner(cloud, input);
      const suffix = query.user_id === null ? '' : `?user_id=${encodeURIComponent(query.user_id)}`;
      const compute = await cloud.compute();
      await forEach(input.arguments('key'), terminal, async (name) => {
        await compute.delete(path(name) + suffix);
      });
    },
  },
];

async function keyFile(file: string): Promise<string> {
  try {
    return await readFile(homePath(file), 'utf8');
  } catch (error) {
    throw new CommandError(`Key file ${file} not found: ${error instanceof Error ? error.message : String(error)}`, {
      exitCode: exitCodes.usage,
    });
  }
}
