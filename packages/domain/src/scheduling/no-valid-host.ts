import type { DecisionKind } from './server-demand.ts';
import type { StoredVerdicts } from './stored-verdicts.ts';

/** The message of the compute API for each kind of request, word for word what its clients know. It names no host. */
export function noValidHostMessage(kind: DecisionKind): string {
  const detail = {
    create: 'There are not enough hosts available.',
    'live-migration': 'There are not enough hosts available.',
    evacuation: 'There are not enough hosts available.',
    migration: 'No valid host found for cold migrate',
    resize: 'No valid host found for resize',
    unshelve: 'No valid host found for unshelve',
  }[kind];
  return `No valid host was found. ${detail}`;
}

/** Reasons that only say that another host was asked for, or that the server is there already: they come last. */
const leastTelling = new Set(['NotRequestedHost', 'CurrentHost']);
const namedPerSentence = 3;
const sentences = 12;

/**
 * For those who may see host names: "NoValidHost: none of 3 hosts passes. node2: needs 2048 MB, 1536 MB free; node3: disabled: kernel update; …".
 * When the request names a host, its reasons alone are told.
 */
export function noValidHostDetails(verdicts: StoredVerdicts, requestedHost: string | null = null): string {
  const reasons = verdicts.rejected
    .toSorted((a, b) => Number(leastTelling.has(a.code)) - Number(leastTelling.has(b.code)))
    .flatMap((rejection) => (requestedHost !== null && rejection.code === 'NotRequestedHost' ? [] : rejection.examples))
    .flatMap(({ hosts, sentence }) => {
      if (requestedHost !== null) return hosts.includes(requestedHost) ? [`${requestedHost}: ${sentence}`] : [];
      const more = hosts.length - namedPerSentence;
      return [`${hosts.slice(0, namedPerSentence).join(', ')}${more > 0 ? ` and ${more} more` : ''}: ${sentence}`];
    });
  const head =
    requestedHost === null
      ? `NoValidHost: none of ${verdicts.hosts} ${verdicts.hosts === 1 ? 'host' : 'hosts'} passes.`
      : `NoValidHost: host ${requestedHost} does not pass.`;
  if (reasons.length === 0) return verdicts.hosts === 0 ? 'NoValidHost: there are no hosts.' : head;
  const rest = reasons.length - sentences;
  return `${head} ${reasons.slice(0, sentences).join('; ')}${rest > 0 ? `; and ${rest} more reasons` : ''}.`;
}
