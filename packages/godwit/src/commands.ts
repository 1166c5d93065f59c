/** What a command's module exports. Resolves to the exit code of the process. */
export interface CommandModule {
  readonly main: (argv: readonly string[]) => Promise<number>;
}

export interface Command {
  readonly summary: string;
  /** Imports the command's module. Only the chosen command is loaded: start-up time is a promise. */
  readonly load: () => Promise<CommandModule>;
}

/** Every command of the executable, in the order in which the help lists them. */
export const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['demo', { summary: 'start a cloud on this machine and show a live migration', load: () => import('@godwit/lab/demo-command') }],
  ['lab', { summary: 'up, down or inspect a cloud of several hosts on this machine', load: () => import('@godwit/lab/cli') }],
  ['controller', { summary: 'run the control plane', load: () => import('@godwit/controller/main') }],
  ['agent', { summary: 'run the agent of one host', load: () => import('@godwit/agent/main') }],
]);
