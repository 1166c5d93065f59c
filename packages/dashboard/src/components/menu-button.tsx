import { Button, type ButtonProps, Dropdown, type MenuProps } from 'antd';
import { useRef } from 'react';

/** A menu that fits neither below its button nor above it covers it rather than leaving the screen. */
const onScreen = { adjustX: 1, adjustY: 1, shiftY: true } as const;

/**
 * A button that opens a menu, by mouse or by keyboard: the first entry has the focus, arrows move, Enter chooses, Escape goes back to the button. What an entry opens gives the focus
 * back to the button when it closes, since the entry is gone by then.
 */
export function MenuButton(props: {
  readonly items: NonNullable<MenuProps['items']>;
  readonly onChoose: (key: string) => void;
  readonly button: ButtonProps;
}) {
  const { items, onChoose, button } = props;
  const trigger = useRef<HTMLButtonElement>(null);
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      autoAdjustOverflow={onScreen}
      menu={{
        items,
        // After the key that chose has been let through: on a button that has just been focused it would count as a press.
        onClick: ({ key }) =>
          requestAnimationFrame(() => {
            trigger.current?.focus();
            onChoose(key);
          }),
      }}
    >
      <Button ref={trigger} aria-haspopup="menu" {...button} />
    </Dropdown>
  );
}
