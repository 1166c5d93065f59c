import type { HostFacts } from '@godwit/domain/host';

/**
 * What `uptime` would print on the host: clients parse this string, and at least one crashes when there is none.
 * `HH:MM:SS up D days, H:MM,  0 users,  load average: 0.10, 0.20, 0.30`, the time in UTC.
 */
export function uptimeText(facts: Pick<HostFacts, 'bootedAtMs' | 'load'>, nowMs: number): string {
  const minutes = Math.max(0, Math.floor((nowMs - facts.bootedAtMs) / 60_000));
  const days = Math.floor(minutes / 1440);
  const clock = `${Math.floor((minutes % 1440) / 60)}:${String(minutes % 60).padStart(2, '0')}`;
  const up = days === 0 ? clock : `${days} ${days === 1 ? 'day' : 'days'}, ${clock}`;
  return `${new Date(nowMs).toISOString().slice(11, 19)} up ${up},  0 users,  load average: ${facts.load.map((load) => load.toFixed(2)).join(', ')}`;
}
