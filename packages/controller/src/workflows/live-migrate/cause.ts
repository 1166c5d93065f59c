import { type MigrationCause, migrationCauses } from '@godwit/domain/migration';
import type { AgentFailure } from '../../agents/agent-error.ts';

const known = new Set<string>(migrationCauses);

/** The coded cause of an agent's failed call, when the code says it; otherwise the phase's own. Never invented: nobody answering is its own cause. */
export function causeOf(
  failure: AgentFailure,
  phase: { readonly failed: MigrationCause; readonly unreachable: MigrationCause },
): MigrationCause {
  if (failure.kind === 'unreachable') return phase.unreachable;
  return known.has(failure.code) ? (failure.code as MigrationCause) : phase.failed;
}

/** The cause in a source's account of a move that ended without success. */
export function reportedCause(cause: string, otherwise: MigrationCause): MigrationCause {
  return known.has(cause) ? (cause as MigrationCause) : otherwise;
}
