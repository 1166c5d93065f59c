/** Items whose text holds every word that was typed, those that begin with it first; the given order otherwise. */
export function matching<Item>(items: readonly Item[], typed: string, textOf: (item: Item) => string): readonly Item[] {
  const wanted = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const [first] = wanted;
  if (first === undefined) return items;
  const found = items.filter((item) => {
    const text = textOf(item).toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  return found.toSorted((a, b) => Number(textOf(b).toLowerCase().startsWith(first)) - Number(textOf(a).toLowerCase().startsWith(first)));
}
