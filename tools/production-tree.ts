/** The part of package-lock.json that is read here: what is installed where, and what it needs. */
export interface LockedPackages {
  readonly [location: string]: {
    readonly dependencies?: Readonly<Record<string, string>>;
    readonly optionalDependencies?: Readonly<Record<string, string>>;
    readonly link?: boolean;
    readonly resolved?: string;
  };
}

/**
 * Where in node_modules everything lies that the packages at `roots` (`packages/controller`) need to run, themselves left out, sorted. Optional ones are named whether or not
 * they are installed: they depend on the machine. Throws for a dependency that the lock does not hold.
 */
export function productionTree(locked: LockedPackages, roots: readonly string[]): readonly string[] {
  const found = new Set<string>();
  const visit = (location: string): void => {
    const entry = locked[location];
    if (entry === undefined) throw new Error(`package-lock.json holds nothing at ${location}`);
    for (const [names, optional] of [
      [entry.dependencies, false],
      [entry.optionalDependencies, true],
    ] as const)
      for (const name of Object.keys(names ?? {})) {
        const at = resolve(locked, location, name);
        if (at === null) {
          if (optional) continue;
          throw new Error(`${location} needs ${name}, which package-lock.json does not hold`);
        }
        // A workspace is copied as a package of ours.
        if (locked[at]?.link === true || found.has(at)) continue;
        found.add(at);
        visit(at);
      }
  };
  for (const root of roots) visit(root);
  return [...found].toSorted();
}

/** As Node looks for it: in the node_modules of `from`, then of each directory above. */
function resolve(locked: LockedPackages, from: string, name: string): string | null {
  for (let directory = from; ; directory = directory.slice(0, Math.max(0, directory.lastIndexOf('/')))) {
    const at = `${directory === '' ? '' : `${directory}/`}node_modules/${name}`;
    if (locked[at] !== undefined) return at;
    if (directory === '') return null;
  }
}
