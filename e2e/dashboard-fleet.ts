import { words } from '@godwit/dashboard/words';
import type { Locator } from 'playwright-core';
import { expect, it } from 'vitest';
import type { DashboardStage } from './dashboard-stage.ts';
import { eventually } from './lab-harness.ts';

/** Bulk moves, and the override of a group rule. Part of 20-dashboard. */
export function fleetTests(stage: DashboardStage): void {
  it('moves a host’s instances in bulk: plans first, keeps the rest when a row is edited, and keeps members apart', async () => {
    const { lab, page } = stage;
    const group = await lab.openstack('server group create --policy anti-affinity -f value -c id apart');
    // Two on node1 that go anywhere, and one member of the group; the other member is on node2.
    await Promise.all(
      [
        '--host node1 bulk-1',
        '--host node1 bulk-2',
        `--host node1 --hint group=${group} ha-1`,
        `--host node2 --hint group=${group} ha-2`,
      ].map(async (rest) => lab.openstack(`server create --image godwit-demo --flavor demo.tiny --network demo --wait ${rest}`)),
    );
    await stage.open('Compute Hosts');
    await page.getByRole('button', { name: `${words.more}: node1` }).click();
    await page.getByRole('menuitem', { name: words.bulkLiveMigrate }).filter({ visible: true }).click();
    await page.getByRole('heading', { name: words.bulkLiveMigrate, level: 1 }).waitFor();
    const plan = page.getByRole('region', { name: 'Plan', exact: true });
    const planned = (server: string): Locator =>
      plan.getByRole('row').filter({ has: page.getByRole('link', { name: server, exact: true }) });
    await planned('ha-1').getByTitle('node3 (proposed)').waitFor();
    await page.getByRole('combobox', { name: 'Destination of bulk-1' }).click();
    await page.locator('.ant-select-item-option', { hasText: 'node3, pinned' }).filter({ visible: true }).click();
    await planned('bulk-1').getByTitle('node3, pinned').waitFor();
    for (const server of ['bulk-2', 'ha-1']) await planned(server).waitFor();
    // Whatever else earlier tests have left here.
    for (const name of ['web-1', 'disk-1', 'own-1']) {
      const out = page.getByRole('button', { name: `Leave out ${name}` });
      if (await out.isVisible()) await out.click();
    }
    expect(await stage.hostOf('bulk-1')).toBe('node1');
    await page.getByRole('button', { name: words.dialog.confirm, exact: true }).click();
    const question = page.getByRole('dialog', { name: 'Live-migrate 3 instances?' });
    await question.getByRole('button', { name: words.dialog.confirm }).click();
    await page.getByRole('heading', { name: `${words.operations.bulk} of 3 instances`, level: 1 }).waitFor();
    await page.reload();
    await page.getByText('completed', { exact: true }).first().waitFor({ timeout: 90_000 });
    // The word may stand at the first of its moves as well.
    await eventually(
      () => Promise.all(['bulk-1', 'bulk-2', 'ha-1', 'ha-2'].map(stage.hostOf)),
      ([first, second, third, fourth]) => first === 'node3' && second !== 'node1' && third === 'node3' && fourth === 'node2',
      60_000,
    );
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: words.export }).click();
    await page.getByRole('menuitem', { name: 'CSV' }).click();
    expect((await download).suggestedFilename()).toMatch(/^bulk-.*\.csv$/);
  }, 240_000);

  it('overrides a hard group rule: out, moved, in again, and the group says what is not as it should be', async () => {
    const { lab, page } = stage;
    await stage.open('Server Groups');
    await page.getByRole('button', { name: 'Remove ha-1 from apart' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
    await page.getByRole('button', { name: 'Remove ha-1 from apart' }).waitFor({ state: 'hidden' });
    await lab.openstack('server migrate --live-migration --host node2 --wait ha-1');
    expect(await stage.hostOf('ha-1')).toBe('node2');
    await page.getByRole('button', { name: 'Add member: apart' }).click();
    const dialog = page.getByRole('dialog', { name: 'Add a member to apart' });
    await dialog.getByRole('combobox', { name: words.fields.instance }).fill('ha-1');
    await page.locator('.ant-select-item-option', { hasText: 'ha-1' }).filter({ visible: true }).click();
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    const broken = page.getByRole('row').filter({ hasText: 'apart' }).locator('.bad');
    await broken.first().waitFor();
    expect(await broken.first().textContent()).toMatch(/node2/);
    await Promise.all(['bulk-1', 'bulk-2', 'ha-1', 'ha-2', 'disk-1'].map(async (name) => lab.openstack(`server delete ${name}`)));
  }, 120_000);
}
