import type { Command } from '../command.ts';

/** One file of commands: what stands in the help beside its first word, and how it is loaded. */
export interface CommandFile {
  readonly summary: string;
  readonly load: () => Promise<{ readonly commands: readonly Command[] }>;
}

const server = async () => import('./server.ts');
const host = async () => import('./host.ts');
const drain = async () => import('./drain.ts');
const catalog = async () => import('./catalog.ts');

/** The files that hold commands, by the first word of what they hold. Only the chosen word's file is loaded: start-up time is a promise. */
export const commandFiles: ReadonlyMap<string, CommandFile> = new Map<string, CommandFile>([
  ['server', { summary: 'servers: create, list, show, migrate, groups, events', load: server }],
  ['console', { summary: 'console log and console address of a server', load: server }],
  ['hypervisor', { summary: 'what the hosts have and use', load: async () => import('./hypervisor.ts') }],
  ['compute', { summary: 'compute service list, set, delete', load: async () => import('./compute-service.ts') }],
  ['aggregate', { summary: 'host aggregates', load: async () => import('./aggregate.ts') }],
  ['availability', { summary: 'availability zone list', load: async () => import('./availability-zone.ts') }],
  ['flavor', { summary: 'flavors', load: async () => import('./flavor.ts') }],
  ['image', { summary: 'images', load: async () => import('./image.ts') }],
  ['network', { summary: 'networks', load: async () => import('./network.ts') }],
  ['subnet', { summary: 'subnets', load: async () => import('./subnet.ts') }],
  ['port', { summary: 'ports: addresses and MACs of servers', load: async () => import('./port.ts') }],
  ['security', { summary: 'security groups and their rules', load: async () => import('./security-group.ts') }],
  ['usage', { summary: 'what projects have used: list, show', load: async () => import('./usage.ts') }],
  ['limits', { summary: 'limits show', load: async () => import('./limits.ts') }],
  ['quota', { summary: 'quota show, set', load: async () => import('./quota.ts') }],
  ['volume', { summary: 'why there are no volumes', load: async () => import('./volume.ts') }],
  ['keypair', { summary: 'key pairs', load: async () => import('./keypair.ts') }],
  ['domain', { summary: 'domains', load: async () => import('./domain.ts') }],
  ['endpoint', { summary: 'endpoint list', load: catalog }],
  ['service', { summary: 'service list', load: catalog }],
  ['project', { summary: 'projects', load: async () => import('./project.ts') }],
  ['user', { summary: 'users', load: async () => import('./user.ts') }],
  ['role', { summary: 'roles and who has them', load: async () => import('./role.ts') }],
  ['token', { summary: 'token issue, revoke', load: async () => import('./token.ts') }],
  ['host', { summary: 'hosts; drain, maintenance, rolling, restore, evacuate', load: host }],
  ['bulk', { summary: 'bulk migrate: many servers as one operation', load: host }],
  ['drain', { summary: 'drains and other fleet operations: list, show, watch, pause, resume, abort, retry', load: drain }],
  ['balance', { summary: 'balance show: advice that relieves contention', load: drain }],
  [
    'migration',
    { summary: 'migrations with what was measured: list, show, watch, abort, force complete', load: async () => import('./migration.ts') },
  ],
  ['top', { summary: 'live view of migrations', load: async () => import('./top.ts') }],
  ['doctor', { summary: 'examine the cloud or this host; collect all that is known of a move', load: async () => import('./doctor.ts') }],
  ['audit', { summary: 'audit list: who changed what, who moved what where', load: async () => import('./audit.ts') }],
  ['complete', { summary: 'completion script for bash, zsh or fish', load: async () => import('./complete.ts') }],
  ['catalog', { summary: 'the services of this cloud', load: catalog }],
]);
