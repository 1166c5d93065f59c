import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatBytes } from '../model/formats.ts';
import type { Sample } from '../model/samples.ts';
import { useMode } from './appearance.tsx';
import { useSamples } from './use-samples.ts';

const colours = {
  dark: { remaining: '#2dd4bf', dirty: '#fbbf24', sent: '#93c5fd', text: '#a3aebb', grid: '#303844' },
  light: { remaining: '#0f766e', dirty: '#b45309', sent: '#1d4ed8', text: '#55606e', grid: '#d9dee5' },
};

/** Remaining bytes, dirty rate and throughput over time, as they were reported since the move began. */
export function MigrationChart({ migrationId, moving }: { readonly migrationId: string; readonly moving: boolean }) {
  const samples = useSamples(migrationId);
  const enough = samples.length >= 2;
  return (
    <section className="panel" aria-label="Chart">
      <h2>Remaining, dirty rate, throughput</h2>
      {enough ? (
        <Plot samples={samples} />
      ) : (
        <p className="muted">
          {moving
            ? 'Waiting for the first reports of the copy.'
            : 'Too little of the copy was reported to draw it: it was over within a second, or more than a day ago.'}
        </p>
      )}
      {enough && <Words samples={samples} />}
    </section>
  );
}

/** The chart's content for those who do not see it. */
const Words = ({ samples }: { readonly samples: readonly Sample[] }) => {
  const last = samples.at(-1);
  const peak = samples.reduce((most, sample) => Math.max(most, sample.dirtyBytesPerSecond), 0);
  return (
    <p className="muted" style={{ margin: '8px 0 0' }}>
      {samples.length} reports; {formatBytes(last?.remainingBytes ?? null)} remaining, sending{' '}
      {formatBytes(last?.sentBytesPerSecond ?? null)}/s, peak dirty rate {formatBytes(peak)}/s.
    </p>
  );
};

function Plot({ samples }: { readonly samples: readonly Sample[] }) {
  const { mode } = useMode();
  const node = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([[], [], [], []]);
  data.current = [
    samples.map((sample) => sample.at / 1000),
    samples.map((sample) => sample.remainingBytes),
    samples.map((sample) => sample.dirtyBytesPerSecond),
    samples.map((sample) => sample.sentBytesPerSecond),
  ];
  useEffect(() => {
    const target = node.current;
    if (target === null) return;
    const colour = colours[mode];
    const axis = { stroke: colour.text, grid: { stroke: colour.grid, width: 1 }, ticks: { stroke: colour.grid } };
    const bytes = (suffix: string) => (_plot: uPlot, values: number[]) => values.map((value) => `${formatBytes(value)}${suffix}`);
    const made = new uPlot(
      {
        width: target.clientWidth,
        height: 220,
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max)] }, rate: { range: (_plot, _min, max) => [0, Math.max(1, max)] } },
        series: [
          { label: 'Time' },
          { label: 'Remaining', stroke: colour.remaining, width: 2, value: (_plot, value) => formatBytes(value) },
          {
            label: 'Dirty rate',
            stroke: colour.dirty,
            width: 2,
            dash: [6, 4],
            scale: 'rate',
            value: (_plot, value) => `${formatBytes(value)}/s`,
          },
          {
            label: 'Throughput',
            stroke: colour.sent,
            width: 2,
            dash: [2, 3],
            scale: 'rate',
            value: (_plot, value) => `${formatBytes(value)}/s`,
          },
        ],
        axes: [
          axis,
          { ...axis, size: 84, values: bytes('') },
          { ...axis, scale: 'rate', side: 1, size: 92, values: bytes('/s'), grid: { show: false } },
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
    if (samples.length > 0) plot.current?.setData(data.current);
  }, [samples]);
  return <div ref={node} aria-hidden="true" />;
}
