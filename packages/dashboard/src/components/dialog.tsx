import { Modal, type ModalProps } from 'antd';
import { useEffect, useState } from 'react';
import { words } from '../words.ts';

/** A dialog that is there as long as it is rendered. When it goes, the focus is again on what opened it, so that a person at the keyboard goes on from there. */
export function Dialog(props: Omit<ModalProps, 'open' | 'destroyOnHidden'>) {
  const [opener] = useState(() => document.activeElement);
  useEffect(
    () => () => {
      // After the dialog has left the page; unless something else has taken the focus by then.
      requestAnimationFrame(() => {
        const lost = document.activeElement === null || document.activeElement === document.body;
        if (lost && opener instanceof HTMLElement && opener.isConnected) opener.focus();
      });
    },
    [opener],
  );
  return <Modal cancelText={words.dialog.cancel} {...props} open destroyOnHidden />;
}
