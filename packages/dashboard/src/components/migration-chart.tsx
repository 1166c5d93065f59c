import { useEffect, useMemo, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { isOver, type MigrationRecord } from '../api/migrations.ts';
import { type ChartPoint, chartPoints } from '../model/chart-points.ts';
import { formatBytes } from '../model/formats.ts';
import type { Sample } from '../model/samples.ts';
import { useMode } from './appearance.tsx';
import { useSamples } from './use-samples.ts';

const colours = {
  dark: { remaining: '#2dd4bf', dirty: '#fbbf24', sent: '#93c5fd', text: '#a3aebb', grid: '#303844' },
  light: { remaining: '#0f766e', dirty: '#b45309', sent: '#1d4ed8', text: '#55606e', grid: '#d9dee5' },
};

/** Remaining bytes, dirty rate and throughput over time, as they were reported since the move began. */
export function MigrationChart({ record }: { readonly record: MigrationRecord }) {
  const samples = useSamples(record.id);
  const points = useMemo(() => chartPoints(record, samples), [record, samples]);
  const enough = points.length >= 2;
  return (
    <section className="panel" aria-label="Chart">
      <h2>Remaining, dirty rate, throughput</h2>
      {enough ? (
        <Plot points={points} />
      ) : (
        <p className="muted">{isOver(record.status) ? 'Nothing was copied.' : 'Waiting for the first reports of the copy.'}</p>
      )}
      {enough && <Words samples={samples} over={isOver(record.status)} />}
    </section>
  );
}

/** The chart's content for those who do not see it. */
const Words = ({ samples, over }: { readonly samples: readonly Sample[]; readonly over: boolean }) => {
  const last = samples.at(-1);
  const peak = samples.reduce((most, sample) => Math.max(most, sample.dirtyBytesPerSecond), 0);
  return (
    <p className="muted" style={{ margin: '8px 0 0' }}>
      {last === undefined
        ? 'No reports: the line is drawn from the beginning of the copy to its end. It was over before it was reported, or more than a day ago.'
        : `${samples.length} ${samples.length === 1 ? 'report' : 'reports'}; ${over ? '' : `${formatBytes(last.remainingBytes)} remaining, sending ${formatBytes(last.sentBytesPerSecond)}/s, `}peak dirty rate ${formatBytes(peak)}/s.`}
    </p>
  );
};

/** Distances between marks on an axis of bytes: 1, 2, 4, … so that marks read 16 MiB and not 19.1 MiB. */
const binarySteps = Array.from({ length: 50 }, (_, power) => 2 ** power);

function Plot({ points }: { readonly points: readonly ChartPoint[] }) {
  const { mode } = useMode();
  const node = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[], [], [], []]);
  data.current = [
    points.map((point) => point.at / 1000),
    points.map((point) => point.remainingBytes),
    points.map((point) => point.dirtyBytesPerSecond),
    points.map((point) => point.sentBytesPerSecond),
  ];
  useEffect(() => {
    const target = node.current;
    if (target === null) return;
    const colour = colours[mode];
    const axis = { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { stroke: colour.grid } };
    const bytes = (suffix: string) => (_plot: uPlot, values: number[]) => values.map((value) => `${formatBytes(value)}${suffix}`);
    const told = (suffix: string) => (_plot: uPlot, value: number | null) => (value === null ? '–' : `${formatBytes(value)}${suffix}`);
    const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
    const times = (_plot: uPlot, values: number[]) => values.map((value) => clock.format(value * 1000));
    const made = new uPlot(
      {
        width: target.clientWidth,
        height: 220,
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max)] }, rate: { range: (_plot, _min, max) => [0, Math.max(1, max)] } },
        series: [
          { label: 'Time', value: (_plot, value) => (value === null ? '–' : clock.format(value * 1000)) },
          { label: 'Remaining', stroke: colour.remaining, width: 2, value: told('') },
          { label: 'Dirty rate', stroke: colour.dirty, width: 2, dash: [6, 4], scale: 'rate', value: told('/s') },
          { label: 'Throughput', stroke: colour.sent, width: 2, dash: [2, 3], scale: 'rate', value: told('/s') },
        ],
        axes: [
          // Below a second marks would all read the same.
          { ...axis, values: times, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400], space: 70 },
          { ...axis, size: 84, values: bytes(''), incrs: binarySteps },
          { ...axis, scale: 'rate', side: 1, size: 92, values: bytes('/s'), incrs: binarySteps, grid: { show: false } },
        ],
      },
      data.current,
      target,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: 220 }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [mode]);
  useEffect(() => {
    if (points.length > 0) plot.current?.setData(data.current);
  }, [points]);
  return <div ref={node} aria-hidden="true" />;
}
