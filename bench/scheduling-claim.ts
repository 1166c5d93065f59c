/**
 * Decision, claim and stored explanation over a database of 10,000 hosts and 100,000 servers, with the warm snapshot and without. Needs PostgreSQL's binaries (the embedded ones).
 * Run: node bench/scheduling-claim.ts [hosts] [servers] [runs]
 */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';

type Figures = {
  readonly what: string;
  readonly decisionP50Ms: number;
  readonly decisionP99Ms: number;
  readonly storeP50Ms: number;
  readonly allP50Ms: number;
};
type Measured = { readonly hosts: number; readonly servers: number; readonly firstLoadMs: number; readonly figures: readonly Figures[] };

const script = new URL('../packages/controller/src/scheduling/measure-claims.ts', import.meta.url).pathname;
// `run.ts` leaves its own words among them.
const sizes = process.argv.slice(2).filter((word) => /^\d+$/.test(word));
const measured = JSON.parse(execFileSync(process.execPath, [script, ...sizes], { encoding: 'utf8' })) as Measured;
const ms = (value: number): string => `${value.toFixed(1)} ms`;
console.log(
  `${measured.hosts} hosts, ${measured.servers} servers; Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, load ${(loadavg()[0] ?? 0).toFixed(1)}`,
);
console.log(`first load of the snapshot: ${ms(measured.firstLoadMs)}`);
for (const { what, decisionP50Ms, decisionP99Ms, storeP50Ms, allP50Ms } of measured.figures) {
  console.log(
    `${what}: decision p50 ${ms(decisionP50Ms)}, p99 ${ms(decisionP99Ms)}; claim, verdicts and commit p50 ${ms(storeP50Ms)}; all p50 ${ms(allP50Ms)}`,
  );
}
