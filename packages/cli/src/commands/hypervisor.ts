import type { Cloud } from '../cloud/cloud.ts';
import { HttpError } from '../cloud/http.ts';
import type { Command, ShowResult } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { isObject, type Json, type JsonObject, objectAt, objectsAt, textAt } from '../json.ts';
import { type Cell, dictionary } from '../render/cell.ts';

export const commands: readonly Command[] = [
  {
    words: 'hypervisor list',
    summary: 'List hypervisors',
    options: [
      { flags: '--matching <hostname>', description: 'only hypervisors whose name contains this' },
      { flags: '--marker <marker>', description: 'the last hypervisor of the previous page (2.33)' },
      { flags: '--limit <limit>', description: 'the largest number of hypervisors (2.33)', kind: 'integer' },
      { flags: '--long', description: 'list additional fields' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const matching = input.text('matching');
      for (const name of ['marker', 'limit']) {
        if (input.text(name) === null) continue;
        if (matching !== null) throw new CommandError('--matching is not compatible with --marker or --limit');
        cloud.require(33, `support the --${name} option`);
      }
      const hypervisors = await detailed(cloud, matching, { marker: input.text('marker'), limit: input.integer('limit') });
      const columns = [
        ['ID', 'id'],
        ['Hypervisor Hostname', 'hypervisor_hostname'],
        ['Hypervisor Type', 'hypervisor_type'],
        ['Host IP', 'host_ip'],
        ['State', 'state'],
        ...(input.flag('long')
          ? [
              ['vCPUs Used', 'vcpus_used'] as const,
              ['vCPUs', 'vcpus'] as const,
              ['Memory MB Used', 'memory_mb_used'] as const,
              ['Memory MB', 'memory_mb'] as const,
            ]
          : []),
      ] as const;
      return {
        columns: columns.map(([title]) => title),
        rows: hypervisors.map((each) => columns.map(([, key]) => (key in each ? (each[key] ?? null) : ''))),
      };
    },
  },
  {
    words: 'hypervisor show',
    summary: 'Show a hypervisor',
    arguments: ['<hypervisor>'],
    output: 'show',
    run: async (cloud, input) => showOne(cloud, input.argument('hypervisor')),
  },
  {
    words: 'hypervisor stats show',
    summary: 'Show the sums over all hypervisors',
    output: 'show',
    run: async (cloud) => {
      const body = await (await cloud.compute()).get('/os-hypervisors/statistics');
      return Object.entries(objectAt(body, 'hypervisor_statistics')).toSorted(([a], [b]) => (a < b ? -1 : 1));
    },
  },
];

/** From 2.53 on the search is a parameter of the list; before, a resource of its own that tells little. */
async function detailed(
  cloud: Cloud,
  matching: string | null,
  query: { readonly [key: string]: string | number | null },
): Promise<readonly JsonObject[]> {
  const compute = await cloud.compute();
  if (matching === null) return compute.all('/os-hypervisors/detail', 'hypervisors', query);
  if (cloud.supports(53)) return objectsAt(await compute.get('/os-hypervisors', { hypervisor_hostname_pattern: matching }), 'hypervisors');
  return objectsAt(await compute.get(`/os-hypervisors/${encodeURIComponent(matching)}/search`), 'hypervisors');
}

async function showOne(cloud: Cloud, given: string): Promise<ShowResult> {
  const compute = await cloud.compute();
  const all = await compute.all('/os-hypervisors', 'hypervisors');
  const found = all.filter((each) => textAt(each, 'id') === given || each.hypervisor_hostname === given);
  const [one] = found;
  if (one === undefined || found.length > 1)
    throw new CommandError(`No hypervisor with a name or ID of '${given}' exists.`, {
      next: '`godwit hypervisor list` shows what there is.',
    });
  const id = textAt(one, 'id');
  const [hypervisor, aggregates, uptime] = await Promise.all([
    compute.get(`/os-hypervisors/${id}`).then((body) => objectAt(body, 'hypervisor')),
    compute.get('/os-aggregates').then((body) => objectsAt(body, 'aggregates')),
    uptimeOf(cloud, id),
  ]);
  const service = objectAt(hypervisor, 'service');
  const fields = new Map<string, Cell>(Object.entries(hypervisor));
  fields.delete('service');
  fields.set('service_id', service.id ?? null);
  fields.set('service_host', service.host ?? null);
  fields.set(
    'aggregates',
    aggregates.filter((each) => listOf(each.hosts).includes(service.host ?? null)).map((each) => each.name ?? null),
  );
  const cpu = hypervisor.cpu_info;
  fields.set('cpu_info', dictionary(cpuInfo(cpu)));
  // From 2.88 on the uptime is a field of the hypervisor.
  const told = uptime ?? (textAt(hypervisor, 'uptime') || null);
  const parts = /^\s*(.+)\sup\s+(.+),\s+(.+)\susers?,\s+load average:\s(.+)/.exec(told ?? '');
  if (parts !== null) {
    for (const [index, name] of ['host_time', 'uptime', 'users', 'load_average'].entries()) fields.set(name, parts[index + 1] ?? null);
  }
  return [...fields].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function cpuInfo(value: Json | undefined): JsonObject {
  if (isObject(value)) return value;
  if (typeof value !== 'string' || value === '') return {};
  try {
    const parsed: Json = JSON.parse(value) as Json;
    return isObject(parsed) ? parsed : {};
  } catch {
    return {};
  }
}

const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);

async function uptimeOf(cloud: Cloud, id: string): Promise<string | null> {
  try {
    const body = await (await cloud.compute()).get(`/os-hypervisors/${id}/uptime`);
    return textAt(objectAt(body, 'hypervisor'), 'uptime') || null;
  } catch (error) {
    // Not every hypervisor tells it, and from 2.88 on there is no such resource.
    if (error instanceof HttpError && [400, 404, 501].includes(error.status)) return null;
    throw error;
  }
}
