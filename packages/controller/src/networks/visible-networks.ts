import type { ExpressionBuilder } from 'kysely';
import type { Tables } from '../store/tables.ts';

/** Networks that a project may see and use: its own and the shared ones; an admin, all. */
export function visibleNetworks(caller: { readonly projectId: string; readonly isAdmin: boolean }) {
  return (eb: ExpressionBuilder<Tables, 'network'>) =>
    caller.isAdmin ? eb.lit(true) : eb.or([eb('network.shared', '=', true), eb('network.project_id', '=', caller.projectId)]);
}
