import type { StoredVerdicts } from './stored-verdicts.ts';

const alternatesTold = 4;
const namedPerSentence = 3;
const sentences = 12;

/**
 * The decision for those who may see host names, as the event of the action tells it: "node2 was chosen, of 2 hosts that pass: 12 % loaded afterwards; then node4 (…). Not node1:
 * the server is on this host; node3: disabled: kernel update. It was created without a zone and may cross zones."
 */
export function placedDetails(verdicts: StoredVerdicts): string {
  const [chosen, ...alternates] = verdicts.ranked;
  if (chosen === undefined) return '';
  const others = alternates.slice(0, alternatesTold).map(({ host, why }) => `${host} (${why.join(', ')})`);
  // That a host is bare metal says all: what else it lacks would fill lines.
  const metal = new Set(
    verdicts.rejected.filter(({ code }) => code === 'BareMetalTarget').flatMap(({ examples }) => examples.flatMap(({ hosts }) => hosts)),
  );
  const rejected = verdicts.rejected
    .flatMap(({ code, examples }) =>
      examples.map(({ hosts, sentence }) => ({
        hosts: code === 'BareMetalTarget' ? hosts : hosts.filter((host) => !metal.has(host)),
        sentence,
      })),
    )
    .filter(({ hosts }) => hosts.length > 0)
    .map(({ hosts, sentence }) => {
      const more = hosts.length - namedPerSentence;
      return `${hosts.slice(0, namedPerSentence).join(', ')}${more > 0 ? ` and ${more} more` : ''}: ${sentence}`;
    });
  const rest = rejected.length - sentences;
  return [
    `${chosen.host} was chosen, of ${verdicts.passing} ${verdicts.passing === 1 ? 'host that passes' : 'hosts that pass'}: ${chosen.why.join(', ')}${others.length === 0 ? '' : `; then ${others.join('; ')}`}.`,
    ...(rejected.length === 0 ? [] : [`Not ${rejected.slice(0, sentences).join('; ')}${rest > 0 ? `; and ${rest} more reasons` : ''}.`]),
    ...(verdicts.zoneRule === undefined ? [] : [verdicts.zoneRule]),
  ].join(' ');
}
