import { words } from '@godwit/dashboard/words';
import { expect, it } from 'vitest';
import { axeViolations, credentialsOf, signIn } from './browser.ts';
import type { DashboardStage } from './dashboard-stage.ts';

const liveMigrate = words.actions['live-migrate'];

/** axe over every page and dialog, in both themes. Part of 20-dashboard: it looks at what the other tests have left. */
export function accessibilityTests(stage: DashboardStage): void {
  for (const scheme of ['dark', 'light'] as const) {
    it(`has no accessibility violation on any page, ${scheme}, 1024 px`, async () => {
      const found: string[] = [];
      await stage.asAnother(scheme, 1024, async () => {
        const { page } = stage;
        const check = async (where: string): Promise<void> => {
          for (const violation of await axeViolations(page)) found.push(`${where}: ${violation}`);
        };
        await page.goto(`${stage.lab.url}/sign-in`);
        await page.getByLabel('User name').waitFor();
        await check('sign in');
        await signIn(page, stage.lab.url, await credentialsOf(stage.lab.dir, 'admin'));
        await stage.row('web-1').waitFor();
        await check('instances');
        await (await stage.menu('web-1')).waitFor();
        await check('menu');
        await page.keyboard.press('Escape');
        for (const action of [liveMigrate, words.actions.migrate]) {
          const dialog = await stage.dialogOf('web-1', action);
          await check(action);
          await dialog.getByRole('button', { name: words.dialog.cancel }).click();
          await dialog.waitFor({ state: 'hidden' });
        }
        await page.getByRole('button', { name: words.launchInstance }).click();
        await page.getByRole('dialog', { name: words.launchInstance }).waitFor();
        await check(words.launchInstance);
        await page.getByRole('dialog').getByRole('button', { name: words.dialog.cancel }).click();
        await page.getByRole('dialog').waitFor({ state: 'hidden' });
        for (const title of [
          'Migrations',
          'Compute Hosts',
          'Server Groups',
          'Availability Zones / Aggregates',
          'Flavors',
          'Images',
          'Networks',
          'Projects',
          'Users',
          'Roles',
          'Troubleshooting',
        ]) {
          await stage.open(title);
          await page.getByText('Loading…').waitFor({ state: 'hidden' });
          await check(title);
        }
        await stage.open('Migrations');
        for (const link of ['completed', 'NoValidHost']) {
          await page.getByRole('row').filter({ hasText: link }).first().getByRole('link', { name: /^Run/ }).click();
          await page.getByRole('heading', { name: /^Run/, level: 1 }).waitFor();
          await check(`run, ${link}`);
          await page.goBack();
        }
        for (const [path, heading] of [
          [`bulk?host=${await stage.hostOf('web-1')}`, words.bulkLiveMigrate],
          [`drain?kind=rolling&hosts=${await stage.hostOf('web-1')}`, 'Drain and maintenance'],
        ] as const) {
          await page.goto(`${stage.lab.url}/admin/${path}`);
          await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
          await page.getByRole('region', { name: 'Plan', exact: true }).waitFor();
          await check(heading);
        }
        await page.goto(`${stage.lab.url}/guide`);
        await page.getByRole('article').waitFor();
        await check('guide');
        await stage.open('Migrations');
        await page.getByText(/^Bulk runs and drains/).click();
        await page
          .getByRole('link', { name: new RegExp(`^${words.operations.bulk} of`) })
          .first()
          .click();
        await page.getByRole('region', { name: 'Instances of the operation' }).waitFor();
        await check('operation');
        await stage.open('Instances');
        await page.getByRole('link', { name: 'web-1', exact: true }).click();
        for (const tab of Object.values(words.tabs)) {
          await page.getByRole('tab', { name: tab }).click();
          if (tab === words.tabs.console) await page.getByText('Attached.').waitFor();
          await check(tab);
        }
        await page.getByText(words.views.project, { exact: true }).first().click();
        for (const title of ['Instances', 'Images', 'Server Groups', 'Key Pairs', 'Networks']) {
          await stage.open(title);
          await page.getByText('Loading…').waitFor({ state: 'hidden' });
          await check(`project ${title}`);
        }
      });
      expect(found).toEqual([]);
    }, 180_000);
  }
}
