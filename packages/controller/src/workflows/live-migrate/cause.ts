import { type MigrationCause, migrationCauses } from '@godwit/domain/migration';
import type { AgentFailure } from '../../agents/agent-error.ts';

const known = new Set<string>(migrationCauses);

/** The coded cause of an agent's failed call, when the code says it; otherwise the phase's own, as for `Internal`, which says nothing of a move. Never invented: nobody answering is its own cause. */
export function causeOf(
  failure: AgentFailure,
  phase: { readonly failed: MigrationCause; readonly unreachable: MigrationCause },
): MigrationCause {
  if (failure.kind === 'unreachable') return phase.unreachable;
  return known.has(failure.code) && failure.code !== 'Internal' ? (failure.code as MigrationCause) : phase.failed;
}

/** The cause in a source's account of a move that ended without success. */
export function reportedCause(cause: string, otherwise: MigrationCause): MigrationCause {
  return known.has(cause) ? (cause as MigrationCause) : otherwise;
}

/** As above, of a call to the source: one that has no QEMU of the guest any more says that this one has ended. */
export function causeAtSource(failure: AgentFailure): MigrationCause {
  if (failure.code === 'ServerNotFound') return 'SourceDied';
  return causeOf(failure, { failed: 'StreamFailed', unreachable: 'SourceDown' });
}
