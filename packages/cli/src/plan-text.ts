import { type JsonObject, numberAt, objectAt, objectsAt, textAt } from './json.ts';
import { renderTable } from './render/table.ts';

/** A plan as an operator reads it before anything moves: the moves in their order, then what cannot move and why. */
export function planText(plan: JsonObject, width: number): string {
  const items = objectsAt(plan, 'items');
  const excluded = objectsAt(plan, 'excluded');
  const expected = objectAt(plan, 'expected');
  const table =
    items.length === 0
      ? ''
      : renderTable(
          ['#', 'Wave', 'Server', 'From', 'To', 'How', 'Why'],
          items.map((item) => [
            (numberAt(item, 'position') ?? 0) + 1,
            numberAt(item, 'wave') ?? 0,
            textAt(objectAt(item, 'server'), 'name'),
            textAt(objectAt(item, 'source'), 'name'),
            textAt(objectAt(item, 'destination'), 'name') + (item.pinned === true ? ' (pinned)' : ''),
            textAt(item, 'method'),
            [
              ...(item.makesRoom === true ? ['makes room'] : []),
              ...(Array.isArray(item.why) ? item.why.filter((each) => typeof each === 'string') : []),
            ].join('; '),
          ]),
          { max: width, least: 8 },
        );
  return [table, excludedText(excluded), sentenceOf(plan, items.length, excluded.length, expected)].join('');
}

/** What cannot move, why, and what would let it. */
export function excludedText(excluded: readonly JsonObject[]): string {
  return excluded
    .map((each) => {
      const remedy = textAt(each, 'remedy');
      const group = objectAt(objectAt(each, 'override'), 'serverGroup');
      const override =
        textAt(group, 'id') === ''
          ? ''
          : `\n    override: godwit server group remove server ${textAt(group, 'name')} ${textAt(objectAt(each, 'server'), 'name')}, migrate it, add it again`;
      return `cannot move ${textAt(objectAt(each, 'server'), 'name')}: ${textAt(each, 'code')}: ${textAt(each, 'reason')}${remedy === '' ? '' : `\n    remedy: ${remedy}`}${override}\n`;
    })
    .join('');
}

function sentenceOf(plan: JsonObject, moves: number, excluded: number, expected: JsonObject): string {
  const seconds = (numberAt(expected, 'durationMs') ?? 0) / 1000;
  const basis = expected.measured === true ? 'from measured link rates' : 'from an assumed link rate';
  const search = textAt(objectAt(plan, 'search'), 'sentence');
  return `${moves} to move, ${excluded} cannot; about ${seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0)} s, ${basis}. ${search}\n`;
}
