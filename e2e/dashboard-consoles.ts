import { words } from '@godwit/dashboard/words';
import { expect, it } from 'vitest';
import type { DashboardStage } from './dashboard-stage.ts';
import { eventually } from './lab-harness.ts';

const liveMigrate = words.actions['live-migrate'];

/** Serial console and display of a guest that moves. Part of 20-dashboard. */
export function consoleTests(stage: DashboardStage): void {
  it('keeps the serial console attached across a move: the guest’s clock ticks on, no line lost or doubled', async () => {
    const { page } = stage;
    // xterm.js shows what it holds to screen readers as rows of text.
    const ticks = async (): Promise<readonly number[]> =>
      [...((await page.locator('.xterm-accessibility-tree').textContent()) ?? '').matchAll(/tick (\d+)/g)].map((match) => Number(match[1]));
    await stage.open('Instances');
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    await page.getByRole('tab', { name: words.tabs.console }).click();
    await page.getByText('Attached.').waitFor();
    const source = await stage.hostOf('web-1');
    await page.getByText(`The guest is on ${source}.`).waitFor();
    const [before = 0] = (await eventually(ticks, (seen) => seen.length > 0, 20_000)).slice(-1);
    const dialog = await stage.dialogOf('web-1', liveMigrate);
    await dialog.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByText('Live migration of web-1 completed').first().waitFor({ timeout: 60_000 });
    const target = await stage.hostOf('web-1');
    expect(target).not.toBe(source);
    await page.getByText(`The guest is on ${target}.`).waitFor();
    const after = await eventually(ticks, (seen) => (seen.at(-1) ?? 0) > before + 4, 30_000);
    const shown = after.slice(after.lastIndexOf(before));
    expect(shown).toEqual(shown.map((_, index) => (shown[0] ?? 0) + index));
    // What is typed reaches the guest: its terminal echoes it, between the lines of its clock.
    await page.getByRole('textbox', { name: 'Serial console of web-1' }).focus();
    await page.keyboard.type('knock knock');
    await eventually(
      async () => page.locator('.xterm-accessibility-tree').textContent(),
      (text) => (text ?? '').replaceAll(/godwit web-1 tick \d+ [\d:T-]+Z/g, '').includes('knock knock'),
      20_000,
    );
  }, 120_000);

  it('shows a guest’s display, and goes on showing it where it has moved', async () => {
    const { lab, page } = stage;
    await lab.openstack('flavor create --ram 96 --vcpus 1 --disk 0 --property godwit:display=vnc demo.display');
    await lab.openstack('server create --image godwit-demo --flavor demo.display --network demo --wait screen-1');
    await stage.open('Instances');
    await page.getByRole('link', { name: 'screen-1', exact: true }).click();
    await page.getByRole('tab', { name: words.tabs.console }).click();
    await page.getByText(words.consoles.display, { exact: true }).click();
    const attached = page.locator('[data-attached=true] canvas');
    // The guest's picture changes every second: its clock is on it.
    const picture = async (): Promise<string> => attached.evaluate((canvas) => (canvas as unknown as { toDataURL(): string }).toDataURL());
    const changes = async (): Promise<void> => {
      await attached.waitFor({ timeout: 30_000 });
      const first = await picture();
      await eventually(picture, (now) => now !== first, 20_000);
    };
    await changes();
    const source = await stage.hostOf('screen-1');
    await lab.openstack('server migrate --live-migration --wait screen-1');
    expect(await stage.hostOf('screen-1')).not.toBe(source);
    await changes();
    await lab.openstack('server delete --wait screen-1');
  }, 180_000);
}
