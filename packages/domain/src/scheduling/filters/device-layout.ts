import { type Filter, text } from '../filter.ts';

/**
 * The host's agent builds the machine with every device where the server has it: QEMU's stream names devices by their place, and a guest that is started anew is to find its cards where they
 * were. An agent that tells of no layout builds the first, with the network cards in places 0, 1, 2 … whatever places they have. Simulated hosts build nothing.
 */
export const deviceLayout: Filter = {
  name: 'device-layout',
  prepare: ({ deviceLayout: layout, portPlaces, guestAgent }) => {
    const needed = layout ?? 1;
    const gaps = portPlaces.some((place, position) => place !== position);
    if (needed === 1 && !gaps && guestAgent !== true) return null;
    return ({ facts }) => {
      if (facts.accelerator === 'simulated') return null;
      const has = facts.deviceLayout ?? 1;
      if (has < needed) return { filter: 'device-layout', code: 'DeviceLayout', data: { needed, has, agentVersion: facts.agentVersion } };
      if (gaps && facts.deviceLayout === undefined)
        return {
          filter: 'device-layout',
          code: 'DevicePlaces',
          data: { places: portPlaces.map(String), agentVersion: facts.agentVersion },
        };
      if (guestAgent === true && facts.guestAgent !== true)
        return { filter: 'device-layout', code: 'GuestAgentChannel', data: { agentVersion: facts.agentVersion } };
      return null;
    };
  },
  describe: (rejection) => ({
    sentence:
      rejection.code === 'DevicePlaces'
        ? `the server's network cards are in places ${text(rejection, 'places')}, agent ${text(rejection, 'agentVersion')} here builds them one after the other`
        : rejection.code === 'GuestAgentChannel'
          ? `the server's machine has a channel for the QEMU guest agent, agent ${text(rejection, 'agentVersion')} here builds none`
          : `the server's machine has device layout ${text(rejection, 'needed')}, agent ${text(rejection, 'agentVersion')} here builds up to ${text(rejection, 'has')}`,
    smallestChange: 'update the agent of this host',
  }),
};
