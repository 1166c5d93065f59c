import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { words } from '@godwit/dashboard/words';
import type { Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { credentialsOf } from './browser.ts';
import type { DashboardStage } from './dashboard-stage.ts';
import { eventually } from './lab-harness.ts';

const run = promisify(execFile);

/** Without a mouse, without eyes, and with files. Part of 20-dashboard. */
export function handsTests(stage: DashboardStage): void {
  it('is operated by keyboard alone: menu, dialog, table of hosts; the focus comes back, and what happens is said', async () => {
    const { page } = stage;
    await stage.open('Instances');
    const said = await listen(page);
    const source = await stage.hostOf('web-1');
    const sort = page.getByRole('region', { name: 'Instances' }).getByRole('columnheader', { name: 'Name' });
    await sort.getByRole('button').focus();
    await page.keyboard.press('Enter');
    await eventually(
      () => sort.getAttribute('aria-sort'),
      (direction) => direction === 'ascending',
      20_000,
    );
    const more = page.getByRole('button', { name: `${words.more}: web-1` });
    await more.focus();
    await page.keyboard.press('Enter');
    await focusOn(page, 'Live Migrate');
    // Past what is impossible, to the next that can be done, and back.
    await page.keyboard.press('ArrowDown');
    await focusOn(page, 'Migrate');
    await page.keyboard.press('ArrowUp');
    await focusOn(page, 'Live Migrate');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: words.actions['live-migrate'] });
    await dialog.getByText('Can take it').first().waitFor();
    const automatic = dialog.getByRole('radio', { name: words.automatic });
    const focused = async (): Promise<boolean> => automatic.evaluate((radio) => radio === radio.ownerDocument.activeElement);
    for (let tab = 0; tab < 8 && !(await focused()); tab += 1) await page.keyboard.press('Tab');
    expect(await focused()).toBe(true);
    await page.keyboard.press('ArrowDown');
    expect(await automatic.isChecked()).toBe(false);
    // Escape changes nothing, and leads back to the button that everything began with.
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    await focusOn(page, words.more);
    await page.keyboard.press('Enter');
    await focusOn(page, 'Live Migrate');
    await page.keyboard.press('Enter');
    await dialog.getByText('Can take it').first().waitFor();
    const confirm = dialog.getByRole('button', { name: words.dialog.confirm });
    const ready = async (): Promise<boolean> => confirm.evaluate((button) => button === button.ownerDocument.activeElement);
    for (let tab = 0; tab < 12 && !(await ready()); tab += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await dialog.waitFor({ state: 'hidden' });
    await focusOn(page, words.more);
    const sentences = await eventually(said, (heard) => heard.includes('Live migration of web-1 completed'), 60_000);
    expect(sentences).toContain('Live migration of web-1 queued');
    expect(sentences.filter((sentence) => sentence.includes('%'))).toEqual([]);
    expect(await stage.hostOf('web-1')).not.toBe(source);
  }, 120_000);

  it('gives an openrc.sh that asks for the password, never contains it, and works', async () => {
    const { lab, page } = stage;
    const { password } = await credentialsOf(lab.dir, 'admin');
    await page.getByRole('button', { name: /^admin · / }).click();
    await page.getByRole('menuitem', { name: 'Download openrc.sh' }).click();
    const saved = page.waitForEvent('download');
    await page.getByRole('dialog').getByRole('button', { name: 'Download' }).click();
    const file = path.join(lab.dir, 'downloaded-openrc.sh');
    await (await saved).saveAs(file);
    expect(await readFile(file, 'utf8')).not.toContain(password);
    const { stdout } = await run('bash', [
      '-c',
      'source "$0" <<<"$1" && openstack project show -f value -c name "$OS_PROJECT_NAME"',
      file,
      password,
    ]);
    expect(stdout).toMatch(/admin\s*$/);
  }, 60_000);

  it('attaches an interface to a running instance and detaches it; what is told is what happened', async () => {
    const { lab, page } = stage;
    await stage.open('Instances');
    await page.getByRole('link', { name: 'web-1', exact: true }).click();
    const interfaces = page.getByRole('region', { name: words.interfaces.title });
    const cards = interfaces.locator('tbody tr[data-row]');
    await cards.first().waitFor();
    expect(await cards.count()).toBe(1);
    await page.getByRole('button', { name: words.interfaces.attach }).click();
    const dialog = page.getByRole('dialog', { name: `${words.interfaces.attach}: web-1` });
    await dialog.getByRole('combobox', { name: 'Network' }).click();
    await page.locator('.ant-select-item-option', { hasText: 'demo' }).filter({ visible: true }).first().click();
    await dialog.getByLabel('Fixed address').fill('10.88.0.77');
    await dialog.getByRole('button', { name: 'Attach', exact: true }).click();
    await page.getByText('Interface attached to web-1').first().waitFor();
    await dialog.waitFor({ state: 'hidden' });
    await interfaces.getByText('10.88.0.77').waitFor();
    expect(await lab.openstack('port list --server web-1 -f value -c "Fixed IP Addresses"')).toContain('10.88.0.77');
    await page.getByRole('button', { name: `${words.interfaces.detach} 10.88.0.77` }).click();
    const question = page.getByRole('dialog', { name: 'Detach 10.88.0.77 from web-1?' });
    await question.getByRole('button', { name: words.interfaces.detach, exact: true }).click();
    await page.getByText('10.88.0.77 is detached from web-1').first().waitFor();
    await interfaces.getByText('10.88.0.77').waitFor({ state: 'hidden' });
    expect(await lab.openstack('port list --server web-1 -f value -c "Fixed IP Addresses"')).not.toContain('10.88.0.77');
  }, 90_000);

  it('keeps security groups: a group, a rule in words, and the rule the network service has', async () => {
    const { lab, page } = stage;
    await stage.open('Security Groups');
    await page.getByRole('button', { name: 'Create Security Group' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('web');
    await page.getByRole('dialog').getByRole('button', { name: 'Create', exact: true }).click();
    await page.getByRole('button', { name: 'Add rule: web' }).click();
    const dialog = page.getByRole('dialog', { name: 'Add a rule to web' });
    await dialog.getByLabel('First port').fill('443');
    await dialog.getByLabel('Addresses').fill('10.0.0.0/8');
    await dialog.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('in: TCP 443 from 10.0.0.0/8').waitFor();
    const rules = await lab.openstackJson<readonly { readonly 'Port Range': string }[]>('security group rule list web');
    expect(rules.map((rule) => rule['Port Range'])).toContain('443:443');
    await page.getByRole('button', { name: 'Delete the rule in: TCP 443 from 10.0.0.0/8 of web' }).click();
    await page.getByRole('region', { name: 'Security Groups' }).getByText('in: TCP 443 from 10.0.0.0/8').waitFor({ state: 'hidden' });
    await lab.openstack('security group delete web');
  }, 60_000);

  it('uploads an image and says how far it is', async () => {
    const { lab, page } = stage;
    await stage.open('Images');
    // As from far away: on one machine it would be over before anybody saw it.
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    await network.send('Network.emulateNetworkConditions', {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: 1_500_000,
    });
    await page.getByRole('button', { name: 'Upload Image' }).click();
    const dialog = page.getByRole('dialog', { name: 'Upload Image' });
    await dialog
      .getByLabel('File')
      .setInputFiles({ name: 'small.raw', mimeType: 'application/octet-stream', buffer: Buffer.alloc(3_000_000, 7) });
    expect(await dialog.getByLabel('Name').inputValue()).toBe('small');
    await dialog.getByRole('button', { name: 'Upload', exact: true }).click();
    await dialog.getByText(/of 2\.9 MiB/).waitFor();
    await dialog.waitFor({ state: 'hidden' });
    await network.detach();
    await page.getByRole('row').filter({ hasText: 'small' }).getByText('active').waitFor();
    await lab.openstack('image delete small');
  }, 60_000);
}

/** Collects what is said to screen readers from now on. */
async function listen(page: Page): Promise<() => Promise<readonly string[]>> {
  await page.evaluate(`(() => {
    const region = [...document.querySelectorAll('[role=status][aria-live=polite].visually-hidden')].at(-1);
    window.said = [];
    new MutationObserver(() => window.said.push(region.textContent)).observe(region, { childList: true, characterData: true, subtree: true });
  })()`);
  return () => page.evaluate('window.said');
}

async function focusOn(page: Page, text: string): Promise<void> {
  await eventually(
    () => page.evaluate<string>('document.activeElement.textContent'),
    (focused) => focused === text,
    20_000,
  );
}
