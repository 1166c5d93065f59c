import type { Cloud } from '../cloud/cloud.ts';
import { findId } from '../cloud/find.ts';
import type { CommandOption, Input } from '../command.ts';

/** Beside every `--project` and `--user` that is no domain's own: names are unique within a domain alone. */
export const projectDomain: CommandOption = {
  flags: '--project-domain <project-domain>',
  description: 'domain of the project (name or ID), where its name is not the only one',
};
export const userDomain: CommandOption = {
  flags: '--user-domain <user-domain>',
  description: 'domain of the user (name or ID), where the name is not the only one',
};

/** The id of a project or user by name or id, within `--project-domain` or `--user-domain` where one is given. */
export async function idInDomain(cloud: Cloud, input: Input, kind: 'project' | 'user', given: string): Promise<string> {
  const domain = input.text(`${kind}-domain`);
  return findId(cloud, kind, given, domain === null ? {} : { domain_id: await findId(cloud, 'domain', domain) });
}
