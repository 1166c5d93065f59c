import path from 'node:path';
import { words } from '@godwit/dashboard/words';
import type { Browser, Locator, Page } from 'playwright-core';
import { credentialsOf, launchBrowser, signIn } from './browser.ts';
import { type Lab, labUp } from './lab-harness.ts';

/** The one lab of all dashboard tests, and the browser page that they look at. */
export type DashboardStage = {
  readonly lab: Lab;
  /** Of whoever is looked through now; an admin's unless `asAnother` is at work. */
  readonly page: Page;
  /** What pages threw, by anybody. */
  readonly mistakes: readonly string[];
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Opens a page by the sidebar. */
  readonly open: (title: string) => Promise<void>;
  /** A row of Instances. */
  readonly row: (server: string) => Locator;
  /** The open menu of a server. */
  readonly menu: (server: string) => Promise<Locator>;
  /** The dialog of a server's Live Migrate or Migrate, once it knows the hosts. */
  readonly dialogOf: (server: string, action: string) => Promise<Locator>;
  /** Keeps a picture of the page, for whoever looks into a failure: .cache/test/pictures/NAME.png. */
  readonly keepPicture: (name: string) => Promise<void>;
  readonly hostOf: (server: string) => Promise<string>;
  /** Looks through a page of another browser session, not signed in, while the work lasts. */
  readonly asAnother: (colorScheme: 'dark' | 'light', width: number, work: () => Promise<void>) => Promise<void>;
};

export function dashboardStage(): DashboardStage {
  let lab: Lab | undefined;
  let browser: Browser | undefined;
  let page: Page | undefined;
  const mistakes: string[] = [];
  const started = <Part>(part: Part | undefined): Part => {
    if (part === undefined) throw new Error('the stage has not been started');
    return part;
  };
  const newPage = async (colorScheme: 'dark' | 'light', width: number): Promise<Page> => {
    const context = await started(browser).newContext({ viewport: { width, height: 900 }, colorScheme, reducedMotion: 'reduce' });
    const made = await context.newPage();
    made.setDefaultTimeout(30_000);
    made.on('pageerror', (error) => mistakes.push(error.message));
    return made;
  };
  const stage: DashboardStage = {
    get lab() {
      return started(lab);
    },
    get page() {
      return started(page);
    },
    mistakes,
    start: async () => {
      [lab, browser] = await Promise.all([labUp(), launchBrowser()]);
      page = await newPage('dark', 1440);
      await signIn(page, lab.url, await credentialsOf(lab.dir, 'admin'));
    },
    stop: async () => {
      await browser?.close();
      await lab?.down();
    },
    open: async (title) => {
      await stage.page.getByRole('navigation').getByRole('link', { name: title, exact: true }).click();
      await stage.page.getByRole('heading', { name: title, level: 1 }).waitFor();
    },
    row: (server) => stage.page.getByRole('row').filter({ has: stage.page.getByRole('link', { name: server, exact: true }) }),
    menu: async (server) => {
      // One that was closed may still be seen for a moment, and would be taken for this one.
      await stage.page.getByRole('menu').filter({ visible: true }).first().waitFor({ state: 'hidden' });
      await stage.page.getByRole('button', { name: `${words.more}: ${server}` }).click();
      return stage.page.getByRole('menu').filter({ visible: true });
    },
    dialogOf: async (server, action) => {
      await (await stage.menu(server)).getByRole('menuitem', { name: action, exact: true }).click();
      const dialog = stage.page.getByRole('dialog', { name: action });
      await dialog.getByText('Can take it').or(dialog.getByText('No host can take')).first().waitFor();
      return dialog;
    },
    keepPicture: async (name) => {
      const file = path.join(import.meta.dirname, '..', '.cache', 'test', 'pictures', `${name.replaceAll(/\W+/g, '-')}.png`);
      await page?.screenshot({ path: file, fullPage: true }).catch(() => undefined);
    },
    hostOf: async (server) =>
      (await stage.lab.openstackJson<{ readonly 'OS-EXT-SRV-ATTR:host': string }>(`server show ${server}`))['OS-EXT-SRV-ATTR:host'],
    asAnother: async (colorScheme, width, work) => {
      const before = page;
      page = await newPage(colorScheme, width);
      try {
        await work();
      } finally {
        await page.context().close();
        page = before;
      }
    },
  };
  return stage;
}
