import type { Cloud } from '../cloud/cloud.ts';
import { findId } from '../cloud/find.ts';
import type { Command, CommandOption, Input, Terminal } from '../command.ts';
import { CommandError, exitCodes } from '../command-error.ts';
import { isObject, type JsonObject, numberAt, objectAt, objectsAt, textAt } from '../json.ts';
import { type Cell, Formatted } from '../render/cell.ts';

const DAY_MS = 86_400_000;
const period: readonly CommandOption[] = [
  { flags: '--start <start>', description: 'first day, such as 2026-01-20 (default: 4 weeks ago)' },
  { flags: '--end <end>', description: 'last day, such as 2026-02-20 (default: tomorrow)' },
];
const columns = ['Project', 'Servers', 'RAM MB-Hours', 'CPU Hours', 'Disk GB-Hours'] as const;

/** The query of a period, and its days as a table's heading has them. */
function periodOf(input: Input, now: number): { readonly query: { readonly start: string; readonly end: string }; readonly days: string } {
  const at = (option: string, otherwise: number): string => {
    const given = input.text(option);
    if (given === null) return new Date(otherwise).toISOString().slice(0, -1);
    const day = new Date(`${given}T00:00:00Z`);
    if (!/^\d{4}-\d{2}-\d{2}$/.test(given) || Number.isNaN(day.getTime()))
      throw new CommandError(`--${option} takes a day such as 2026-01-20, not "${given}".`, { exitCode: exitCodes.usage });
    return `${given}T00:00:00`;
  };
  const query = { start: at('start', now - 28 * DAY_MS), end: at('end', now + DAY_MS) };
  return { query, days: `from ${query.start.slice(0, 10)} to ${query.end.slice(0, 10)}` };
}

/** Usage of many servers comes in pages (2.40): one project's parts are added up. */
async function allPages(read: (marker: string | null) => Promise<readonly JsonObject[]>, paged: boolean): Promise<readonly JsonObject[]> {
  const found = new Map<string, JsonObject>();
  for (let marker: string | null = null; ; ) {
    const page = await read(marker);
    for (const usage of page) found.set(textAt(usage, 'tenant_id'), added(found.get(textAt(usage, 'tenant_id')), usage));
    const last = textAt(objectsAt(page.at(-1), 'server_usages').at(-1), 'instance_id');
    if (!paged || last === '' || last === marker) return [...found.values()];
    marker = last;
  }
}

function added(before: JsonObject | undefined, usage: JsonObject): JsonObject {
  if (before === undefined) return usage;
  const sum = (key: string) => (numberAt(before, key) ?? 0) + (numberAt(usage, key) ?? 0);
  return {
    ...before,
    server_usages: [...objectsAt(before, 'server_usages'), ...objectsAt(usage, 'server_usages')],
    total_memory_mb_usage: sum('total_memory_mb_usage'),
    total_vcpus_usage: sum('total_vcpus_usage'),
    total_local_gb_usage: sum('total_local_gb_usage'),
  };
}

function rowOf(usage: JsonObject, names: ReadonlyMap<string, string>): readonly Cell[] {
  // A project that has used nothing is answered by an empty object: nothing is printed for it.
  const hours = (key: string): Cell => {
    const value = numberAt(usage, key);
    return value === null ? '' : new Formatted(value, String(Math.round(value * 100) / 100));
  };
  const project = textAt(usage, 'tenant_id');
  const servers = usage.server_usages;
  return [
    new Formatted(project, names.get(project) ?? project),
    Array.isArray(servers) ? new Formatted(servers.filter(isObject), String(servers.length)) : '',
    hours('total_memory_mb_usage'),
    hours('total_vcpus_usage'),
    hours('total_local_gb_usage'),
  ];
}

const isTable = (input: Input): boolean => (input.text('format') ?? 'table') === 'table';

export const commands: readonly Command[] = [
  {
    words: 'usage list',
    summary: 'List resource usage per project',
    options: period,
    output: 'list',
    run: async (cloud, input, terminal) => {
      const { query, days } = periodOf(input, Date.now());
      const compute = await cloud.compute();
      const usages = await allPages(
        async (marker) => objectsAt(await compute.get('/os-simple-tenant-usage', { ...query, detailed: 1, marker }), 'tenant_usages'),
        cloud.supports(40),
      );
      if (isTable(input) && usages.length > 0) terminal.out(`Usage ${days}: \n`);
      const names = await projectNames(cloud);
      return { columns, rows: usages.map((usage) => rowOf(usage, names)) };
    },
  },
  {
    words: 'usage show',
    summary: 'Show resource usage for a single project',
    options: [{ flags: '--project <project>', description: 'name or ID; your own by default' }, ...period],
    output: 'show',
    run: async (cloud, input, terminal: Terminal) => {
      const { query, days } = periodOf(input, Date.now());
      const given = input.text('project');
      const project = given === null ? ((await cloud.token()).projectId ?? '') : await findId(cloud, 'project', given);
      const compute = await cloud.compute();
      const [usage = {}] = await allPages(
        async (marker) => [objectAt(await compute.get(`/os-simple-tenant-usage/${project}`, { ...query, marker }), 'tenant_usage')],
        cloud.supports(40),
      );
      if (isTable(input)) terminal.out(`Usage ${days} on project ${project}: \n`);
      const row = rowOf(usage, new Map());
      return columns.map((name, at) => [name, row[at] ?? '']);
    },
  },
];

/** Only an administrator may list projects: without their names the ids are printed. */
async function projectNames(cloud: Cloud): Promise<ReadonlyMap<string, string>> {
  try {
    const projects = await (await cloud.service('identity')).all('/projects', 'projects');
    return new Map(projects.map((project) => [textAt(project, 'id'), textAt(project, 'name')]));
  } catch (error) {
    if (error instanceof CommandError) return new Map();
    throw error;
  }
}
