import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { allCommands } from './all-commands.ts';
import { optionsOf } from './program.ts';

/** First words of the commands that both clients have. */
const families = [
  'server',
  'hypervisor',
  'compute service',
  'aggregate',
  'availability zone',
  'flavor',
  'image',
  'network',
  'project',
  'user',
  'role',
  'token',
  'keypair',
  'limits',
  'usage',
  'catalog',
  'console',
];

/** Whole commands of these families that Godwit's client does not have: what they change is nothing that a Godwit cloud has. */
const commandsNotHere: Readonly<Record<string, readonly string[]>> = {
  'no agents, flavors, meters, segments, policies or routers of networks': [
    'network agent',
    'network auto allocated topology',
    'network flavor',
    'network l3 conntrack helper',
    'network meter',
    'network qos',
    'network rbac',
    'network segment',
    'network service provider',
  ],
  'no tags of networks': ['network unset'],
  'no floating addresses': ['server add floating ip', 'server remove floating ip'],
  'no volumes': ['server volume update'],
  'no crash dumps of guests': ['server dump create'],
  'no image caches to fill by hand': ['aggregate cache image'],
  'a shell, not the cloud': ['server ssh'],
  'a script over other services': ['project cleanup', 'project purge'],
};

/** Here, and only says why there are no volumes. */
const onlySaysWhy = new Set(['server add volume', 'server volume list', 'server remove volume']);

/** Options that Godwit's client does not have, by why. */
const optionsNotHere: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'no volumes': {
    'server create': ['--volume', '--snapshot', '--boot-from-volume', '--block-device-mapping', '--block-device', '--swap', '--ephemeral'],
    'image create': ['--volume', '--force'],
    'availability zone list': ['--volume'],
  },
  'no displays but VNC': { 'console url show': ['--mks', '--rdp', '--spice', '--xvpvnc'] },
  'no signed images, imports and stores': {
    'server create': ['--image-property', '--trusted-image-cert'],
    'server rebuild': ['--trusted-image-cert', '--no-trusted-image-certs'],
    'image create': ['--sign-key-path', '--sign-cert-id', '--import', '--progress'],
  },
  'taken away by the API, or hidden by the openstack command itself': {
    'server create': ['--file', '--config-drive'],
    'server set': ['--root-password'],
    'image create': ['--size', '--location', '--copy-from', '--checksum', '--store'],
    'image set': ['--instance-uuid', '--visibility'],
    'network create': ['--extra-property'],
    'network set': ['--extra-property'],
  },
  'no groups, systems, domain roles, inherited roles, trees and tags of projects, rules of passwords': {
    'role add': ['--system', '--group', '--group-domain', '--inherited', '--role-domain'],
    'role remove': ['--system', '--group', '--group-domain', '--inherited', '--role-domain'],
    'role assignment list': ['--system', '--group', '--group-domain', '--inherited', '--role-domain'],
    'role create': ['--domain', '--immutable', '--no-immutable'],
    'role set': ['--domain', '--immutable', '--no-immutable'],
    'role delete': ['--domain'],
    'role list': ['--domain'],
    'role show': ['--domain'],
    'project create': ['--parent', '--property', '--immutable', '--no-immutable', '--tag'],
    'project list': ['--parent', '--sort', '--tags', '--tags-any', '--not-tags', '--not-tags-any'],
    'project set': ['--property', '--immutable', '--no-immutable', '--tag', '--clear-tags', '--remove-tag'],
    'project show': ['--parents', '--children'],
    'user create': [...passwordRules()],
    'user set': [...passwordRules()],
    'user list': ['--group'],
  },
  'no prompts: a password comes from the option': { 'user create': ['--password-prompt'], 'user set': ['--password-prompt'] },
  'the keys of one user at a time': { 'keypair list': ['--project', '--project-domain'] },
  'no zones, policies, tags and names of networks': {
    'network create': [
      '--availability-zone-hint',
      '--default',
      '--no-default',
      '--qos-policy',
      '--transparent-vlan',
      '--no-transparent-vlan',
      '--dns-domain',
      '--tag',
      '--no-tag',
    ],
    'network set': ['--default', '--no-default', '--qos-policy', '--no-qos-policy', '--tag', '--no-tag', '--dns-domain'],
    'network list': [
      '--provider-network-type',
      '--provider-physical-network',
      '--provider-segment',
      '--agent',
      '--tags',
      '--any-tags',
      '--not-tags',
      '--not-any-tags',
    ],
    'availability zone list': ['--network'],
  },
};

function passwordRules(): readonly string[] {
  const pairs = ['ignore-lockout-failure-attempts', 'ignore-password-expiry', 'ignore-change-password-upon-first-use'];
  const either = ['lock-password', 'multi-factor-auth'].flatMap((each) => [`--enable-${each}`, `--disable-${each}`]);
  return [...pairs.flatMap((each) => [`--${each}`, `--no-${each}`]), ...either, '--multi-factor-auth-rule'];
}

/** What every command of the openstack client takes, of which ours has those that it needs (render.test.ts). */
const ofAll = new Set(['--help', '--quote', '--prefix', '--variable']);

/** The distribution's openstack command itself says which commands and long options it has. */
const theirs = (): Readonly<Record<string, readonly string[]>> => {
  const script = `
import importlib.metadata, json
from unittest.mock import MagicMock
found = {}
for group in ('compute.v2', 'image.v2', 'identity.v3', 'network.v2', 'common'):
    for entry in importlib.metadata.entry_points(group='openstack.' + group):
        parser = entry.load()(MagicMock(), None).get_parser(entry.name)
        found[entry.name.replace('_', ' ')] = [o for a in parser._actions for o in a.option_strings if o.startswith('--')]
print(json.dumps(found))`;
  return JSON.parse(execFileSync('/usr/bin/python3', ['-c', script], { encoding: 'utf8' })) as Record<string, string[]>;
};

it('every command and option of the openstack command that a Godwit cloud can answer is here, by the same name', async () => {
  const ours = new Map((await allCommands()).map((command) => [command.words, command]));
  const isOf = (family: string) => (words: string) => words === family || words.startsWith(`${family} `);
  const missing: string[] = [];
  const optionsMissing = new Map<string, readonly string[]>();
  for (const [words, options] of Object.entries(theirs()).filter(([each]) => families.some((family) => isOf(family)(each)))) {
    const command = ours.get(words);
    if (command === undefined) {
      missing.push(words);
      continue;
    }
    if (onlySaysWhy.has(words)) continue;
    const here = new Set(optionsOf(command).flatMap(({ flags }) => [...flags.matchAll(/--[\w-]+/g)].map(([name]) => name)));
    const gone = [...new Set(options.filter((option) => !here.has(option) && !ofAll.has(option)))].toSorted();
    if (gone.length > 0) optionsMissing.set(words, gone);
  }
  const known = Object.values(commandsNotHere).flat();
  expect(missing.filter((words) => !known.some((each) => isOf(each)(words)))).toEqual([]);
  expect(known.filter((each) => !missing.some(isOf(each)))).toEqual([]);
  const named = new Map<string, string[]>();
  for (const byCommand of Object.values(optionsNotHere))
    for (const [words, options] of Object.entries(byCommand)) named.set(words, [...(named.get(words) ?? []), ...options].toSorted());
  expect(Object.fromEntries(optionsMissing)).toEqual(Object.fromEntries(named));
});
