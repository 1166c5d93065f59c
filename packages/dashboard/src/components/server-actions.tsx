import type { HypervisorType } from '@godwit/domain/host';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { App } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { act, callerFacts, type PlainAction, type Server } from '../api/servers.ts';
import { type MenuAction, menuEntries, serverFacts } from '../model/menu-entries.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';
import { announce } from './announcer.tsx';
import { MenuButton } from './menu-button.tsx';
import { MenuEntry } from './menu-entry.tsx';
import { useApi } from './signed-in.tsx';

/** The actions that ask for more than a yes. */
const dialogs = {
  'live-migrate': lazy(async () => ({ default: (await import('../dialogs/live-migrate.tsx')).LiveMigrateDialog })),
  migrate: lazy(async () => ({ default: (await import('../dialogs/migrate.tsx')).MigrateDialog })),
  rebuild: lazy(async () => ({ default: (await import('../dialogs/rebuild.tsx')).RebuildDialog })),
  'create-image': lazy(async () => ({ default: (await import('../dialogs/create-image.tsx')).CreateImageDialog })),
  resize: lazy(async () => ({ default: (await import('../dialogs/resize.tsx')).ResizeDialog })),
  scale: lazy(async () => ({ default: (await import('../dialogs/scale.tsx')).ScaleDialog })),
} as const;
type DialogAction = keyof typeof dialogs;
const asksMore = (action: MenuAction): action is DialogAction => action in dialogs;

/** What an action that cannot be taken back asks first; it names the instance. */
const questions: Partial<Record<MenuAction, (name: string) => { readonly title: string; readonly body: string }>> = {
  delete: (name) => ({ title: `Delete ${name}?`, body: `The instance ${name} and its disks are deleted. This cannot be undone.` }),
  reboot: (name) => ({ title: `Reboot ${name}?`, body: `The guest of ${name} is asked to restart, and is reset if it does not.` }),
  'reboot-hard': (name) => ({
    title: `Hard-reboot ${name}?`,
    body: `The guest of ${name} is powered off and started again; what it has not written to its disk is lost.`,
  }),
  rescue: (name) => ({
    title: `Rescue ${name}?`,
    body: `The guest of ${name} is shut down and started from its image, with its own disk beside it to be mended. End Rescue starts it from its disk again.`,
  }),
  shelve: (name) => ({
    title: `Shelve ${name}?`,
    body: `The guest of ${name} is shut down and its disk kept as an image; what it has on its host is given up. Unshelve starts it again from that image.`,
  }),
  stop: (name) => ({ title: `Stop ${name}?`, body: `${name} is asked to shut down and is powered off if it does not.` }),
};

/** The actions of one instance: the row's menu and the dialogs that it opens. */
export function ServerActions({
  server,
  view,
  hypervisorType,
  label = words.more,
}: {
  readonly server: Server;
  readonly view: View;
  readonly hypervisorType: HypervisorType | null;
  readonly label?: string;
}) {
  const api = useApi();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { message, modal } = App.useApp();
  const [dialog, setDialog] = useState<DialogAction | null>(null);
  const entries = menuEntries(view, serverFacts(server, hypervisorType), callerFacts(api));

  const run = async (action: PlainAction): Promise<void> => {
    try {
      await act(api, server.id, action);
      const said = `${words.actions[action]} of ${server.name} accepted`;
      announce(said);
      void message.info(said);
    } catch (error) {
      void message.error(`${words.actions[action]} of ${server.name}: ${error instanceof Error ? error.message : String(error)}`, 8);
    }
    void queries.invalidateQueries({ queryKey: ['server'] });
  };
  const choose = (action: MenuAction): void => {
    if (asksMore(action)) {
      setDialog(action);
      return;
    }
    if (action === 'console-output') {
      void navigate({ to: `/${view}/instances/${server.id}`, search: { tab: 'console' } });
      return;
    }
    const question = questions[action]?.(server.name);
    if (question === undefined) {
      void run(action);
      return;
    }
    modal.confirm({
      title: question.title,
      content: question.body,
      okText: words.actions[action],
      okButtonProps: { danger: action === 'delete' },
      cancelText: words.dialog.cancel,
      onOk: () => run(action),
    });
  };
  const Dialog = dialog === null ? null : dialogs[dialog];
  return (
    <>
      <MenuButton
        items={entries.flatMap((group, index) => [
          ...(index === 0 ? [] : [{ key: `before group ${index}`, type: 'divider' as const }]),
          ...group.map(({ action, label: title, reason }) => ({
            key: action,
            disabled: reason !== null,
            danger: action === 'delete' && reason === null,
            label: <MenuEntry title={title} reason={reason} />,
          })),
        ])}
        onChoose={(key) => choose(key as MenuAction)}
        button={{ size: 'small', 'aria-label': `${label}: ${server.name}`, children: label }}
      />
      {Dialog !== null && (
        <Suspense>
          <Dialog server={server} onClose={() => setDialog(null)} />
        </Suspense>
      )}
    </>
  );
}
