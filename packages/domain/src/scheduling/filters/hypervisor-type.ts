import { type Filter, text } from '../filter.ts';

/** The hypervisor is of the type that the flavor asks for. A bare-metal host is never the target of a move. */
export const hypervisorType: Filter = {
  name: 'hypervisor-type',
  prepare:
    (demand) =>
    ({ facts }) => {
      if (facts.hypervisorType === 'ironic' && demand.kind !== 'create')
        return { filter: 'hypervisor-type', code: 'BareMetalTarget', data: {} };
      if (facts.hypervisorType === demand.hypervisorType) return null;
      return { filter: 'hypervisor-type', code: 'HypervisorType', data: { needed: demand.hypervisorType, has: facts.hypervisorType } };
    },
  describe: (rejection) =>
    rejection.code === 'BareMetalTarget'
      ? { sentence: 'bare metal: nothing is moved to it', smallestChange: null }
      : { sentence: `needs hypervisor type ${text(rejection, 'needed')}, this is ${text(rejection, 'has')}`, smallestChange: null },
};
