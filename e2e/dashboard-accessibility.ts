import { words } from '@godwit/dashboard/words';
import { expect, it } from 'vitest';
import { axeInBothThemes, credentialsOf, signIn } from './browser.ts';
import type { DashboardStage } from './dashboard-stage.ts';
import { eventually } from './lab-harness.ts';

const liveMigrate = words.actions['live-migrate'];
const widths = { desk: 1024, phone: 390 } as const;

/** axe over every page and dialog, each in both themes, and whether a phone's width holds it. Part of 20-dashboard: it looks at what the other tests have left. */
export function accessibilityTests(stage: DashboardStage): void {
  it('has no accessibility violation on any page or dialog, in either theme; its tables fit a desk, and no page is wider than a phone', async () => {
    const found: string[] = [];
    await stage.asAnother('dark', widths.desk, async () => {
      const { page } = stage;
      const check = async (where: string): Promise<void> => {
        for (const violation of await axeInBothThemes(page)) found.push(`${where}, ${violation}`);
      };
      const checkPage = async (where: string): Promise<void> => {
        await check(where);
        const cut = await page.evaluate<readonly string[]>(
          `[...document.querySelectorAll('.data-table')].filter((table) => table.scrollWidth > table.clientWidth).map((table) => table.getAttribute('aria-label'))`,
        );
        found.push(...cut.map((table) => `${where}: the table ${table} does not fit ${widths.desk} px`));
        await page.setViewportSize({ width: widths.phone, height: 900 });
        // A terminal is fitted to the new width a moment later.
        await eventually(
          () => page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth'),
          (over) => over <= 0,
          15_000,
        ).catch((error: unknown) => found.push(`${where} is wider than a phone: ${String(error)}`));
        await page.setViewportSize({ width: widths.desk, height: 900 });
      };
      /** Opens a dialog, looks at it, and leaves it by Escape: the focus is then where it was. */
      const checkDialog = async (name: string, open: () => Promise<unknown>): Promise<void> => {
        await open();
        const dialog = page.getByRole('dialog');
        await dialog.waitFor();
        await dialog.getByText('Loading…').first().waitFor({ state: 'hidden' });
        await check(name);
        await page.keyboard.press('Escape');
        await dialog.waitFor({ state: 'hidden' });
        await eventually(
          () => page.evaluate<string>('document.activeElement.tagName'),
          (focused) => focused !== 'BODY',
          20_000,
        ).catch(() => found.push(`${name}: the focus is lost when it closes`));
      };
      const press = (name: string | RegExp) => async () => page.getByRole('button', { name }).first().click();
      const choose = (button: string | RegExp, entry: string) => async () => {
        await press(button)();
        await page.getByRole('menuitem', { name: entry, exact: true }).filter({ visible: true }).click();
      };

      await page.goto(`${stage.lab.url}/sign-in`);
      await page.getByLabel('User name').waitFor();
      await checkPage('sign in');
      await signIn(page, stage.lab.url, await credentialsOf(stage.lab.dir, 'admin'));
      await stage.row('web-1').waitFor();
      await checkPage('instances');
      await (await stage.menu('web-1')).waitFor();
      await check('menu');
      await page.keyboard.press('Escape');
      for (const action of [liveMigrate, words.actions.migrate]) await checkDialog(action, () => stage.dialogOf('web-1', action));
      const more = `${words.more}: web-1`;
      await checkDialog('live migrate, advanced', async () => {
        const dialog = await stage.dialogOf('web-1', liveMigrate);
        await dialog.getByText('Advanced: what this move may cost').click();
        await dialog.getByLabel('Largest blackout').waitFor();
      });
      const { resize, rebuild, rescue, shelve, reboot, delete: remove } = words.actions;
      for (const action of [resize, rebuild, words.actions['create-image'], rescue, shelve, reboot, remove])
        await checkDialog(action, choose(more, action));
      await checkDialog(words.launchInstance, press(words.launchInstance));
      await page.getByRole('button', { name: more }).focus();
      await checkDialog('palette', () => page.keyboard.press('Control+k'));
      await checkDialog('openrc', choose(/^admin · /, 'Download openrc.sh'));
      const dialogs: Readonly<Record<string, readonly (readonly [string, () => Promise<unknown>])[]>> = {
        Migrations: [],
        'Compute Hosts': [['disable', press('Disable node1')]],
        'Server Groups': [
          ['create group', press('Create Server Group')],
          ['add member', press(/^Add member/)],
        ],
        'Availability Zones / Aggregates': [['create aggregate', press('Create Aggregate')]],
        Flavors: [
          ['create flavor', press('Create Flavor')],
          ['delete', press(/^Delete flavor/)],
        ],
        Images: [['upload', press('Upload Image')]],
        Networks: [
          ['create network', press('Create Network')],
          ['add subnet', press(/^Add subnet/)],
        ],
        'Security Groups': [
          ['create security group', press('Create Security Group')],
          ['add rule', press(/^Add rule/)],
        ],
        Projects: [['create project', press('Create Project')]],
        Users: [
          ['create user', press('Create User')],
          ['password', press(/^Set the password/)],
          ['give role', press(/^Give .*role/)],
        ],
        Roles: [],
        [words.quotas]: [['limits', press('Change Limits')]],
        Troubleshooting: [],
      };
      for (const [title, ofPage] of Object.entries(dialogs)) {
        await stage.open(title);
        await page.getByText('Loading…').first().waitFor({ state: 'hidden' });
        await checkPage(title);
        for (const [name, open] of ofPage) await checkDialog(name, open);
      }
      await stage.open('Migrations');
      for (const link of ['completed', 'NoValidHost']) {
        await page.getByRole('row').filter({ hasText: link }).first().getByRole('link', { name: /^Run/ }).click();
        await page.getByRole('heading', { name: /^Run/, level: 1 }).waitFor();
        await checkPage(`run, ${link}`);
        await page.goBack();
      }
      for (const [path, heading] of [
        [`bulk?host=${await stage.hostOf('web-1')}`, words.bulkLiveMigrate],
        [`drain?kind=rolling&hosts=${await stage.hostOf('web-1')}`, 'Drain and maintenance'],
      ] as const) {
        await page.goto(`${stage.lab.url}/admin/${path}`);
        await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
        await page.getByRole('region', { name: 'Plan', exact: true }).waitFor();
        await checkPage(heading);
        // Of a drain it asks once there is a reason.
        if (await page.getByLabel('Reason').isVisible()) await page.getByLabel('Reason').fill('new kernel');
        await checkDialog(`${heading}, confirmation`, press(words.dialog.confirm));
      }
      await page.goto(`${stage.lab.url}/guide`);
      await page.getByRole('article').waitFor();
      await checkPage('guide');
      await stage.open('Migrations');
      await page.getByText(/^Bulk runs and drains/).click();
      await page
        .getByRole('link', { name: new RegExp(`^${words.operations.bulk} of`) })
        .first()
        .click();
      await page.getByRole('region', { name: 'Instances of the operation' }).waitFor();
      await checkPage('operation');
      await stage.open('Instances');
      await page.getByRole('link', { name: 'web-1', exact: true }).click();
      await checkDialog(words.interfaces.attach, press(words.interfaces.attach));
      for (const tab of Object.values(words.tabs)) {
        await page.getByRole('tab', { name: tab }).click();
        if (tab === words.tabs.console) await page.getByText('Attached.').waitFor();
        await checkPage(tab);
      }
      await page.getByText(words.views.project, { exact: true }).first().click();
      for (const title of ['Instances', 'Images', 'Server Groups', 'Key Pairs', words.quotas, 'Networks', 'Security Groups']) {
        await stage.open(title);
        await page.getByText('Loading…').first().waitFor({ state: 'hidden' });
        await checkPage(`project ${title}`);
        if (title === 'Key Pairs') await checkDialog('key pair', press(/Key Pair$/));
      }
    });
    expect(found).toEqual([]);
  }, 300_000);
}
