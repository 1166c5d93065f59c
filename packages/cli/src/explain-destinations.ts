import { type Json, type JsonObject, numberAt, objectAt, objectsAt, textAt } from './json.ts';
import { renderTable } from './render/table.ts';

/** Every host with its verdict and the reasons, as a table at most `width` characters wide: what the scheduler sees, best first. */
export function explainDestinations(body: Json, width: number): string {
  const hosts = objectsAt(body, 'hosts');
  return renderTable(
    ['Host', 'Zone', 'Verdict', 'Rank', 'Why'],
    hosts.map((host) => [
      textAt(host, 'name'),
      textAt(host, 'zone'),
      textAt(host, 'verdict'),
      numberAt(host, 'rank') === null ? '' : String(numberAt(host, 'rank')),
      whyOf(host),
    ]),
    { max: width, least: 8 },
  );
}

function whyOf(host: JsonObject): string {
  const reasons = objectsAt(host, 'reasons').map((reason) => {
    const change = textAt(reason, 'smallestChange');
    return `${textAt(reason, 'sentence')}${change === '' ? '' : ` → ${change}`}`;
  });
  if (reasons.length > 0) return reasons.join('\n');
  const why = host.why;
  return Array.isArray(why) ? why.filter((each): each is string => typeof each === 'string').join('\n') : '';
}

/** Where the server would go, or why nowhere. `host`: the one that was asked for. */
export function summariseDestinations(body: Json, host: string | null): { readonly sentence: string; readonly possible: boolean } {
  const server = objectAt(body, 'server');
  const name = textAt(server, 'name') || textAt(server, 'id');
  const refusal = objectAt(body, 'refusal');
  if (textAt(refusal, 'message') !== '')
    return { possible: false, sentence: `${name} cannot be moved so: ${textAt(refusal, 'message')} (${textAt(refusal, 'code')})` };
  if (host !== null) {
    const row = objectsAt(body, 'hosts').find((each) => each.name === host);
    if (row === undefined) return { possible: false, sentence: `There is no host ${host}.` };
    const passes = textAt(row, 'verdict') === 'passes';
    return passes
      ? { possible: true, sentence: `${name} would go to ${host}.` }
      : { possible: false, sentence: `${name} cannot go to ${host}: ${whyOf(row).replaceAll('\n', '; ')}` };
  }
  const chosen = textAt(objectAt(body, 'chosen'), 'name');
  const equals = objectsAt(body, 'hosts').filter((each) => each.tiedWithBest === true && each.name !== chosen);
  const or =
    equals.length === 0
      ? ''
      : ` (or ${equals.length === 1 ? '' : 'one of '}${equals.map((each) => textAt(each, 'name')).join(', ')}: equally good)`;
  if (chosen !== '') return { possible: true, sentence: `${name} would go to ${chosen}${or}.` };
  return { possible: false, sentence: `NoValidHost: ${textAt(body, 'summary') || 'no host passes the filters.'}` };
}
