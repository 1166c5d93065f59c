import { App, Button } from 'antd';
import { words } from '../words.ts';

/** Asks first, naming the thing; with `whyNot` it cannot be deleted, and says so. */
export function DeleteButton({
  what,
  name,
  whyNot,
  onDelete,
}: {
  readonly what: string;
  readonly name: string;
  readonly whyNot?: string | undefined;
  readonly onDelete: () => Promise<unknown>;
}) {
  const { modal } = App.useApp();
  return (
    <Button
      size="small"
      danger
      disabled={whyNot !== undefined}
      title={whyNot}
      aria-label={`Delete ${what} ${name}`}
      onClick={() =>
        modal.confirm({
          title: `Delete ${name}?`,
          content: `The ${what} ${name} is deleted. This cannot be undone.`,
          okText: words.actions.delete,
          okButtonProps: { danger: true },
          cancelText: words.dialog.cancel,
          onOk: async () => void (await onDelete()),
        })
      }
    >
      {words.actions.delete}
    </Button>
  );
}
