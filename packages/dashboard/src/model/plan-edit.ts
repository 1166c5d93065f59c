import type { Plan } from '../api/operations.ts';

/** What an operator has changed of a proposed plan: rows fixed to a host, and rows left out. */
export type PlanEdit = { readonly pins: Readonly<Record<string, string>>; readonly leftOut: ReadonlySet<string> };
export const unedited: PlanEdit = { pins: {}, leftOut: new Set() };

/** The edit with one row fixed to a host, or no longer fixed (null); every other row stays as it was. */
export function withPin(edit: PlanEdit, server: string, host: string | null): PlanEdit {
  const { [server]: _before, ...others } = edit.pins;
  return { ...edit, pins: host === null ? others : { ...others, [server]: host } };
}

export function withLeftOut(edit: PlanEdit, server: string, out: boolean): PlanEdit {
  const leftOut = new Set(edit.leftOut);
  if (out) leftOut.add(server);
  else leftOut.delete(server);
  return { ...edit, leftOut };
}

/** For `POST /plans`: the rows that all others are planned around. */
export const pinsOf = (edit: PlanEdit): { readonly server: string; readonly host: string }[] =>
  Object.entries(edit.pins).map(([server, host]) => ({ server, host }));

/** The plan as the run is to take it, in its order. Only what the operator has fixed himself is pinned: at its turn the scheduler may send any other row elsewhere. */
export const itemsOf = (plan: Plan, edit: PlanEdit): { server: string; destination: string; pinned?: boolean }[] =>
  plan.items
    .filter((item) => !edit.leftOut.has(item.server.id))
    .map((item) => ({
      server: item.server.id,
      destination: item.destination.name,
      ...(edit.pins[item.server.id] === undefined ? {} : { pinned: true }),
    }));
