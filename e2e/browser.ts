import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

const executablePath = process.env['GODWIT_CHROMIUM'] ?? '/usr/bin/chromium';
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launchBrowser = async (): Promise<Browser> => chromium.launch({ executablePath, args });

/** User name and password of a lab's openrc file. */
export async function credentialsOf(labDir: string, who: 'admin' | 'demo'): Promise<{ readonly user: string; readonly password: string }> {
  const text = await readFile(path.join(labDir, who === 'admin' ? 'openrc.sh' : 'openrc-demo.sh'), 'utf8');
  const value = (name: string): string => new RegExp(`^export ${name}='(.*)'$`, 'm').exec(text)?.[1] ?? '';
  return { user: value('OS_USERNAME'), password: value('OS_PASSWORD') };
}

/** Signs in as a person does; resolves when the Instances page is there. */
export async function signIn(
  page: Page,
  url: string,
  { user, password }: { readonly user: string; readonly password: string },
): Promise<void> {
  await page.goto(url);
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const further = page.getByRole('button', { name: 'Continue' });
  const instances = page.getByRole('heading', { name: 'Instances', level: 1 });
  await further.or(instances).first().waitFor();
  if (await further.isVisible()) await further.click();
  await instances.waitFor();
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe finds on the page as it is now, one line each. */
async function axeViolations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate<{
    readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  }>('axe.run(document, { resultTypes: ["violations"] })');
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}

/** The same in the light and in the dark appearance; it stays dark. */
export async function axeInBothThemes(page: Page): Promise<readonly string[]> {
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await page.locator(`html[data-mode=${colorScheme}]`).waitFor({ state: 'attached' });
    found.push(...(await axeViolations(page)).map((violation) => `${colorScheme}: ${violation}`));
  }
  return found;
}
