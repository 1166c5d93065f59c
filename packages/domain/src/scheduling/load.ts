import { type HostState, physicalResources, type Resources } from './host-state.ts';

/** One resource of a host: claimed and promised in all (over-commit applied). */
export type ResourceLoad = { readonly used: number; readonly capacity: number };
export type Load = { readonly [Resource in keyof Resources]: ResourceLoad };

/** The host's load with `added` on top of what is claimed there. */
export function loadOf(host: HostState, added: Resources = { vcpus: 0, ramMib: 0, diskGib: 0 }): Load {
  const physical = physicalResources(host.facts);
  const load = (resource: keyof Resources): ResourceLoad => ({
    used: host.usage[resource] + added[resource],
    capacity: Math.floor(physical[resource] * host.ratios[resource]),
  });
  return { vcpus: load('vcpus'), ramMib: load('ramMib'), diskGib: load('diskGib') };
}
