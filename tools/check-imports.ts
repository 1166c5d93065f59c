// Who may import whom, and who may act on a QEMU. This file is the rule; ARCHITECTURE.md explains it.

import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { parseSync } from 'oxc-parser';
import { report, root, type SourceFile, sourceFiles } from './source-files.ts';

interface Layer {
  /** Packages of ours that it may import. */
  readonly ours: readonly string[];
  /** Whether its production code may import Node's own modules. */
  readonly node: boolean;
  /** Libraries it may import: a list, or whatever its package.json declares. */
  readonly libraries: readonly string[] | 'declared';
}

const layers: Readonly<Record<string, Layer>> = {
  domain: { ours: [], node: false, libraries: [] },
  contract: { ours: ['domain'], node: false, libraries: ['typebox', '@bufbuild/protobuf', 'yaml'] },
  // What controller and agent need alike to be followed; it knows nothing of either.
  telemetry: { ours: [], node: true, libraries: 'declared' },
  controller: { ours: ['domain', 'contract', 'telemetry'], node: true, libraries: 'declared' },
  agent: { ours: ['domain', 'contract', 'telemetry'], node: true, libraries: 'declared' },
  cli: { ours: ['domain', 'contract'], node: true, libraries: 'declared' },
  dashboard: { ours: ['domain', 'contract'], node: false, libraries: 'declared' },
  // The lab starts the others as processes; it never runs their code in its own.
  lab: { ours: ['domain', 'contract'], node: true, libraries: 'declared' },
  // The executable may import everything, and nothing imports it.
  godwit: {
    ours: ['domain', 'contract', 'telemetry', 'controller', 'agent', 'cli', 'dashboard', 'lab'],
    node: true,
    libraries: 'declared',
  },
};

/** Folders outside packages/: they drive the product from outside. */
const outside: Readonly<Record<string, readonly string[]>> = {
  bench: ['domain', 'contract', 'lab'],
  chaos: ['domain', 'contract', 'lab'],
  // The browser's tests read the pages by the pages' own table of words.
  e2e: ['domain', 'contract', 'lab', 'dashboard', 'cli'],
  tools: [],
};

/** The one place that may set a guest running, move it, or end it. */
const CUSTODY = 'packages/agent/src/custody/';
const CUSTODY_COMMANDS = new Set(['cont', 'system_reset', 'migrate', 'quit']);
const KILL_COMMANDS = new Set(['kill', 'pkill', 'killall']);

const isTest = (path: string) => /\.(real\.)?test\.tsx?$/.test(path) || path.includes('/testing/');

/**
 * One line per breach of the rules in the given files, empty when there is none. `declared` tells the libraries that a package's
 * package.json names; tests may also use those of the root's.
 */
export function importViolations(
  files: readonly SourceFile[],
  declared: (packageName: string | null) => ReadonlySet<string>,
): readonly string[] {
  return files.flatMap((file) => {
    const parsed = parseSync(file.path, file.text);
    const at = (offset: number) => `${file.path}:${file.text.slice(0, offset).split('\n').length}`;
    const parseErrors = parsed.errors.map((error) => `${file.path}: ${error.message}`);
    const specifiers: { readonly value: string; readonly offset: number }[] = [
      ...parsed.module.staticImports.map((item) => ({ value: item.moduleRequest.value, offset: item.start })),
      ...parsed.module.staticExports.flatMap((item) =>
        item.entries.flatMap((entry) => (entry.moduleRequest === null ? [] : [{ value: entry.moduleRequest.value, offset: item.start }])),
      ),
    ];
    const dynamic = parsed.module.dynamicImports.flatMap((item) => {
      const text = file.text.slice(item.moduleRequest.start, item.moduleRequest.end);
      const literal = /^(['"`])([^'"`$]*)\1$/.exec(text);
      if (literal?.[2] !== undefined) {
        specifiers.push({ value: literal[2], offset: item.start });
        return [];
      }
      return isTest(file.path) ? [] : [`${at(item.start)} imports ${text}, which is not a plain string, so its layer cannot be checked`];
    });
    const imports = specifiers.flatMap(({ value, offset }) => {
      const reason = whyForbidden(file.path, value, declared);
      return reason === null ? [] : [`${at(offset)} imports '${value}': ${reason}`];
    });
    const custody =
      file.path.startsWith('packages/agent/src/') && !file.path.startsWith(CUSTODY) && !isTest(file.path)
        ? custodyBreaches(parsed.program).map(({ offset, what }) => `${at(offset)} ${what}; only ${CUSTODY} may`)
        : [];
    return [...parseErrors, ...imports, ...dynamic, ...custody];
  });
}

function whyForbidden(path: string, specifier: string, declared: (packageName: string | null) => ReadonlySet<string>): string | null {
  const [top = '', name = ''] = path.split('/');
  const packageName = top === 'packages' ? name : null;
  const layer = packageName === null ? null : layers[packageName];
  if (layer === undefined) return `packages/${name} is not in the layer table of tools/check-imports.ts`;

  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const home = packageName === null ? `${top}/` : `packages/${packageName}/`;
    if (packageName !== null && !target.startsWith(home)) return 'a relative import stays in its package';
    if (packageName === null && target.startsWith('packages/')) return `import it as @godwit/${target.split('/')[1]}/…`;
    return /\.(ts|tsx|json|css)$/.test(specifier) ? null : 'a relative import ends in .ts';
  }
  if (specifier.startsWith('@godwit/')) {
    const other = specifier.split('/')[1] ?? '';
    if (other === packageName) return 'inside a package imports are relative';
    const allowed = layer?.ours ?? outside[top] ?? [];
    return allowed.includes(other)
      ? null
      : `${packageName ?? top} may import ${allowed.length === 0 ? 'none of our packages' : `only ${allowed.join(', ')}`}`;
  }
  if (specifier.startsWith('node:')) {
    return layer === null || layer.node || isTest(path) ? null : `${packageName} does not use Node's modules`;
  }
  const library = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (layer === null || isTest(path)) {
    if (declared(null).has(library)) return null;
  }
  if (layer === null) return 'the root package.json does not declare it';
  const libraries = layer.libraries === 'declared' ? declared(packageName) : new Set(layer.libraries);
  return libraries.has(library) ? null : `${packageName} may use ${[...libraries].join(', ') || 'no library'}`;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

/** Parts of the syntax in which a string does nothing: types, comparisons, names of modules and keys, the `kind` of one of our own events. */
function isInert(parent: Node, key: string): boolean {
  if (
    parent.type.startsWith('TS') &&
    parent.type !== 'TSAsExpression' &&
    parent.type !== 'TSSatisfiesExpression' &&
    parent.type !== 'TSNonNullExpression'
  )
    return true;
  if (parent.type === 'BinaryExpression' || parent.type.startsWith('Import') || parent.type.startsWith('Export')) return true;
  if (parent.type === 'SwitchCase' && key === 'test') return true;
  if (parent.type === 'Property' && key === 'value' && isNode(parent['key']) && parent['key']['name'] === 'kind') return true;
  return (parent.type === 'Property' && key === 'key') || (parent.type === 'MemberExpression' && key === 'property');
}

function custodyBreaches(program: unknown): readonly { readonly offset: number; readonly what: string }[] {
  const found: { offset: number; what: string }[] = [];
  const visit = (node: Node) => {
    if (node.type === 'CallExpression' && isNode(node['callee']) && isKill(node))
      found.push({ offset: node.start, what: 'kills a process' });
    for (const [key, child] of Object.entries(node)) {
      for (const item of Array.isArray(child) ? child : [child]) {
        if (!isNode(item)) continue;
        const text = plainString(item);
        if (text !== null && !isInert(node, key)) {
          if (CUSTODY_COMMANDS.has(text)) found.push({ offset: item.start, what: `names the QMP command '${text}'` });
          if (KILL_COMMANDS.has(text)) found.push({ offset: item.start, what: `names the command '${text}'` });
        }
        visit(item);
      }
    }
  };
  if (isNode(program)) visit(program);
  return found;
}

/**
 * `x.kill(…)` and `x['kill'](…)`, but not `process.kill(pid, 0)`, which only asks whether the process exists, and not
 * `process.kill(process.pid, …)`: an agent may end itself, its guests outlive it.
 */
function isKill(call: Node): boolean {
  const callee = call['callee'];
  if (!isNode(callee) || callee.type !== 'MemberExpression' || !isNode(callee['property'])) return false;
  const property = callee['property'];
  const name = property.type === 'Identifier' ? property['name'] : plainString(property);
  if (name !== 'kill') return false;
  const [target, signal] = call['arguments'] as readonly unknown[];
  const asksOnly = isNode(signal) && signal.type === 'Literal' && signal['value'] === 0;
  return !asksOnly && !isOwnPid(target);
}

function isOwnPid(node: unknown): boolean {
  if (!isNode(node) || node.type !== 'MemberExpression' || !isNode(node['object']) || !isNode(node['property'])) return false;
  return node['object']['name'] === 'process' && node['property']['name'] === 'pid';
}

function plainString(node: Node): string | null {
  if (node.type === 'Literal' && typeof node['value'] === 'string') return node['value'];
  if (node.type !== 'TemplateLiteral') return null;
  const quasis = node['quasis'] as readonly { readonly value: { readonly cooked: string } }[];
  return quasis.length === 1 ? (quasis[0]?.value.cooked ?? null) : null;
}

if (import.meta.main) {
  const cache = new Map<string | null, ReadonlySet<string>>();
  const declared = (packageName: string | null) => {
    const known = cache.get(packageName);
    if (known !== undefined) return known;
    const path = packageName === null ? 'package.json' : `packages/${packageName}/package.json`;
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<
      string,
      Record<string, string> | undefined
    >;
    const names = new Set([...Object.keys(dependencies ?? {}), ...Object.keys(devDependencies ?? {})]);
    cache.set(packageName, names);
    return names;
  };
  const wanted = (path: string) => /^(packages\/[^/]+\/src|bench|e2e|tools)\/.*\.tsx?$/.test(path) && !path.includes('/gen/');
  report(importViolations(sourceFiles(wanted), declared));
}
