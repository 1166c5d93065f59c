import { Form } from 'antd';
import type { ReactNode } from 'react';
import { Dialog } from './dialog.tsx';
import { Problem } from './problem.tsx';
import { useChange } from './use-change.ts';

/** A dialog that is one form. Stays open with the API's sentence when it is refused. */
export function FormDialog<Values extends object>(props: {
  readonly title: string;
  readonly ok: string;
  /** Something is lost by it. */
  readonly danger?: boolean;
  /** First part of the query keys that the change makes stale. */
  readonly refreshes: string;
  readonly initial?: Partial<Values>;
  readonly onSubmit: (values: Values) => Promise<unknown>;
  readonly said: (values: Values) => string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const { title, ok, danger = false, refreshes, initial, onSubmit, said, onClose, children } = props;
  const [form] = Form.useForm<Values>();
  const { busy, refused, run } = useChange(refreshes);
  const submit = async (values: Values): Promise<void> => {
    if (await run(said(values), () => onSubmit(values), { quiet: true })) onClose();
  };
  return (
    <Dialog title={title} okText={ok} okButtonProps={{ loading: busy, danger }} onOk={() => form.submit()} onCancel={onClose}>
      {refused !== null && <Problem error={refused} what="This was refused; nothing has changed." />}
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark="optional"
        initialValues={initial ?? {}}
        onFinish={(values) => void submit(values)}
      >
        {children}
      </Form>
    </Dialog>
  );
}
