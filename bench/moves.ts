import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LabPlan } from '@godwit/lab/lab-plan';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { waitFor } from '@godwit/lab/wait-for';
import { withLab } from './bench-lab.ts';
import { type MeasuredMove, withMeasuredGuest } from './measured-move.ts';
import { type ResidentMemory, residentMemory } from './memory.ts';
import { printRate } from './print-rate.ts';
import { printed, summarise } from './quantiles.ts';
import { shuffled } from './shuffled.ts';

/** Dirty rate of the moves that are made without the network switch, MB/s. */
const bareRateMBs = 50;

/** Moves one guest back and forth, the dirty rates in random order, and prints each part of a move apart. */
export async function benchMoves(options: { readonly perRate: number; readonly ratesMBs: readonly number[] }): Promise<{
  readonly memory: ResidentMemory;
  readonly moves: readonly MeasuredMove[];
  readonly withoutNetworkSwitch: readonly MeasuredMove[];
}> {
  return withLab(async (lab) => {
    const idle = await residentMemory(lab.plan);
    console.log(
      `memory (PSS, idle): controller and database ${idle.controllerMib.toFixed(0)} MiB, agents ${idle.agentsMib.map((mib) => mib.toFixed(0)).join(', ')} MiB`,
    );
    return withMeasuredGuest(lab, async (guest) => {
      const measure = async (what: string, rateMBs: number): Promise<MeasuredMove> => {
        await guest.writeAt(rateMBs);
        const move = await guest.move();
        console.log(`${what} ${rateMBs} MB/s (achieved ${move.achievedMBs.toFixed(0)}): ${JSON.stringify(move)}`);
        return move;
      };
      const moves: MeasuredMove[] = [];
      const order = shuffled(options.ratesMBs.flatMap((rate) => Array.from({ length: options.perRate }, () => rate)));
      for (const [index, rateMBs] of order.entries()) moves.push(await measure(`${index + 1}/${order.length}`, rateMBs));
      await withoutNetworkSwitch(lab.plan);
      const bare: MeasuredMove[] = [];
      for (let index = 0; index < options.perRate; index++)
        bare.push(await measure(`without the network switch ${index + 1}`, bareRateMBs));
      await guest.nothingLost();
      for (const rate of options.ratesMBs) printRate(rate, moves);
      console.log(
        `\nwithout the network switch, ${bareRateMBs} MB/s: longest TCP stall ${printed(summarise(bare.flatMap(({ tcpStallMs }) => tcpStallMs ?? [])))}`,
      );
      return { memory: idle, moves, withoutNetworkSwitch: bare };
    });
  });
}

/** Starts the lab's controller again with the switch off, and waits until it serves. */
async function withoutNetworkSwitch(plan: LabPlan): Promise<void> {
  const file = path.join(plan.dir, 'controller.json');
  await writeFile(file, JSON.stringify({ ...(JSON.parse(await readFile(file, 'utf8')) as object), networkSwitch: false }));
  await askSupervisor(plan.dir, { op: 'restart', process: 'controller' });
  const answers = async (): Promise<boolean> =>
    fetch(`${plan.publicUrl}/healthz`, { signal: AbortSignal.timeout(2000) }).then(
      (response) => response.ok,
      () => false,
    );
  await waitFor('the controller does not serve again', answers, 30_000, 100);
}
