import type { Cloud } from '../cloud/cloud.ts';
import { findId } from '../cloud/find.ts';
import { HttpError } from '../cloud/http.ts';
import type { CommandOption, Input, ShowResult } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import type { JsonObject } from '../json.ts';

/** Keystone's own fields of a thing, without the links. */
export const identityFields = (thing: JsonObject): ShowResult =>
  Object.entries(thing)
    .filter(([name]) => name !== 'links')
    .toSorted(([a], [b]) => (a < b ? -1 : 1));

export const domainOption: CommandOption = { flags: '--domain <domain>', description: 'domain (name or ID)' };
export const enableOptions: readonly CommandOption[] = [
  { flags: '--enable', description: 'enable it' },
  { flags: '--disable', description: 'disable it' },
];
export const orShow: CommandOption = { flags: '--or-show', description: 'show the one that exists already' };

/** `?domain_id=…` for searches by name, when `--domain` was given. */
export async function domainQuery(cloud: Cloud, input: Input): Promise<{ readonly domain_id: string | null }> {
  const domain = input.text('domain');
  return { domain_id: domain === null ? null : await findId(cloud, 'domain', domain) };
}

/** True, false, or null when neither was given. Throws a usage error for both. */
export function enabledOf(input: Input): boolean | null {
  if (input.flag('enable') && input.flag('disable'))
    throw new CommandError('--enable and --disable exclude each other.', { exitCode: exitCodes.usage });
  return input.flag('enable') ? true : input.flag('disable') ? false : null;
}

/** What `create` gives; with `--or-show`, what is there already when the name is taken. */
export async function createOrShow(
  input: Input,
  create: () => Promise<JsonObject>,
  existing: () => Promise<JsonObject>,
): Promise<ShowResult> {
  try {
    return identityFields(await create());
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 409 || !input.flag('or-show')) throw error;
    return identityFields(await existing());
  }
}
