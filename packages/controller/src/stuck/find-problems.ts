import type { Agents } from '../agents/agents.ts';
import type { Db } from '../store/database.ts';
import { differingGuests } from './differing-guests.ts';
import { failingWorkflows, forgottenResizes, leakedClaims, silentHosts } from './forgotten.ts';
import { lateMigrations } from './late-migrations.ts';
import type { Problem } from './problem.ts';

/** Everything in the cloud that does not go on by itself. Asks every host that is heard from. */
export async function findProblems(db: Db, agents: Agents): Promise<readonly Problem[]> {
  const found = await Promise.all([
    lateMigrations(db),
    differingGuests(db, agents),
    silentHosts(db),
    forgottenResizes(db),
    leakedClaims(db),
    failingWorkflows(db),
  ]);
  return found.flat();
}
