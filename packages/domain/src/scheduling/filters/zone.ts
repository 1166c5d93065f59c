import { type Filter, type Rejection, text } from '../filter.ts';

/** A server created with a zone stays in it in every move; one created without may cross. */
export const zone: Filter = {
  name: 'zone',
  prepare: (demand) => {
    const needed = demand.requestedZone;
    if (needed === null) return null;
    const created = demand.kind === 'create' ? 'asked' : 'created';
    const byZone = new Map<string, Rejection>();
    return ({ zone: has }) => {
      if (has === needed) return null;
      let rejection = byZone.get(has);
      if (rejection === undefined) byZone.set(has, (rejection = { filter: 'zone', code: 'Zone', data: { needed, has, created } }));
      return rejection;
    };
  },
  describe: (rejection) => {
    const needed = text(rejection, 'needed');
    const why =
      text(rejection, 'created') === 'asked'
        ? `the request asks for zone ${needed}`
        : `the server was created in zone ${needed} and stays in it`;
    return {
      sentence: `zone: ${why}, this host is in ${text(rejection, 'has')}`,
      smallestChange: `add the host to an aggregate of zone ${needed}`,
    };
  },
};
