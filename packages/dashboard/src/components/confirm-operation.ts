import { useNavigate } from '@tanstack/react-router';
import { App } from 'antd';
import { useState } from 'react';
import { beginOperation, type NewOperation } from '../api/operations.ts';
import { words } from '../words.ts';
import { announce } from './announcer.tsx';
import { useApi } from './signed-in.tsx';

/** Asks first, with the count; begins the operation and goes to its page. A refusal stays in `refused`. */
export function useConfirmOperation() {
  const api = useApi();
  const navigate = useNavigate();
  const { modal } = App.useApp();
  const [refused, setRefused] = useState<unknown>(null);
  const confirm = (
    question: { readonly title: string; readonly content: string; readonly danger?: boolean },
    request: NewOperation,
  ): void => {
    setRefused(null);
    modal.confirm({
      title: question.title,
      content: question.content,
      okText: words.dialog.confirm,
      okButtonProps: { danger: question.danger === true },
      cancelText: words.dialog.cancel,
      onOk: async () => {
        try {
          const id = await beginOperation(api, request);
          announce(`${words.operations[request.kind]} accepted`);
          await navigate({ to: `/admin/operations/${id}` });
        } catch (error) {
          setRefused(error);
        }
      },
    });
  };
  return { confirm, refused };
}
