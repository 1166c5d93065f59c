import { useSyncExternalStore } from 'react';
import { formatAge, parseTime } from '../model/formats.ts';

// One clock for every relative time on the page.
const listeners = new Set<() => void>();
let now = Date.now();
setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, 1000);

/** The present, to the second. */
export const useNow = (): number =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => now,
  );

/** How long ago; the absolute time on hover. */
export function When({ time, suffix = ' ago' }: { readonly time: string; readonly suffix?: string }) {
  const at = parseTime(time);
  const age = formatAge(useNow() - at);
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'long' })}>
      {age}
      {suffix}
    </time>
  );
}
