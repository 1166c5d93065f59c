import { readFileSync } from 'node:fs';
import { readSettings } from '@godwit/contract/config/read-settings';
import { describe, expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';
import type { Db } from './store/database.ts';

const fileOf = (name: string): string => readFileSync(new URL(`../../../packaging/monitoring/${name}`, import.meta.url), 'utf8');
type Dashboard = { readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[] };
type Rules = {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: { readonly summary: string; readonly remedy: string };
    }[];
  }[];
};

/** Every name that `GET /metrics` may show, with what a histogram makes of its own. Nothing is read from the database for it. */
const exported = (): ReadonlyMap<string, readonly string[]> =>
  new Map(
    createMetrics({ process: true, database: {} as Db })
      .registry.getMetricsAsArray()
      .flatMap((metric) => {
        const labels = (metric as unknown as { readonly labelNames?: readonly string[] }).labelNames ?? [];
        const series = String(metric.type) === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
        return series.map((end) => [`${metric.name}${end}`, end === '_bucket' ? [...labels, 'le'] : labels] as const);
      }),
  );

/** Metrics of an expression, each with the labels that it selects or groups by. */
function used(expression: string): readonly { readonly name: string; readonly labels: readonly string[] }[] {
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels = '']) => labels.split(',').map((label) => label.trim()));
  return [...expression.matchAll(/\b(godwit_\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', selector = '']) => ({
    name,
    labels: [...grouped, ...[...selector.matchAll(/(\w+)\s*[=!]/g)].map(([, label = '']) => label)],
  }));
}

describe('the Grafana dashboard and the alert rules', () => {
  const { panels } = JSON.parse(fileOf('grafana-dashboard.json')) as Dashboard;
  const rules = (readSettings(fileOf('alerts.yaml'), 'alerts.yaml').value as Rules).groups.flatMap((group) => group.rules);
  const expressions = [
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
    ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ];

  it.each(expressions)('%s: every metric is exported, with the labels that are asked for', (_name, expression) => {
    const known = exported();
    const names = used(expression);
    expect(names.length).toBeGreaterThan(0);
    for (const { name, labels } of names) {
      expect([...known.keys()]).toContain(name);
      expect(labels.filter((label) => known.get(name)?.includes(label) !== true)).toEqual([]);
    }
  });

  it('every alert says what has happened and what to do', () => {
    expect(rules.length).toBeGreaterThan(8);
    for (const { annotations } of rules) expect([annotations.summary, annotations.remedy].every((text) => text.length > 20)).toBe(true);
  });
});
