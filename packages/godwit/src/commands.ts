import { commandFiles } from '@godwit/cli/commands/index';

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
  [
    'demo',
    { summary: 'start a cloud on this machine and show a live migration', load: fromCheckout(() => import('@godwit/lab/demo-command')) },
  ],
  ['lab', { summary: 'up, down or inspect a cloud of several hosts on this machine', load: fromCheckout(() => import('@godwit/lab/cli')) }],
  ['controller', { summary: 'run the control plane', load: () => import('@godwit/controller/main') }],
  ['agent', { summary: 'run the agent of one host', load: () => import('@godwit/agent/main') }],
  ...clientCommands(),
  ['doctor', { summary: 'examine the cloud or this host; collect all that is known of a move', load: async () => import('./doctor.ts') }],
]);

/** An installed package has no lab in it: that is said, instead of which file is missing. */
function fromCheckout(load: () => Promise<CommandModule>): () => Promise<CommandModule> {
  return async () => {
    try {
      return await load();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND' || !String(error).includes('@godwit/lab')) throw error;
      return {
        main: async () => {
          process.stderr.write('godwit: the lab and the demo are no part of this installation: they run from a checkout\n');
          return 1;
        },
      };
    }
  };
}

/** The words that the client shares with the `openstack` command: each is one more first word. */
function clientCommands(): readonly (readonly [string, Command])[] {
  return [...commandFiles].map(([word, { summary }]) => [
    word,
    {
      summary,
      load: async () => {
        const client = await import('@godwit/cli/main');
        return { main: async (argv) => client.main([word, ...argv]) };
      },
    },
  ]);
}

/** For command lines that begin with an option of the cloud: `--os-cloud lab server list`. */
export const client: Command = { summary: 'talk to a cloud', load: async () => import('@godwit/cli/main') };
