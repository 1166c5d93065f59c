import { Form, Input } from 'antd';
import { createImageOf, type Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { words } from '../words.ts';

/** Create Image: of the root disk as it is at one moment, while the guest goes on. */
export function CreateImageDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<{ readonly name: string }>
      title={`${words.actions['create-image']} of ${server.name}`}
      ok={words.actions['create-image']}
      refreshes="image"
      onSubmit={({ name }) => createImageOf(api, server.id, name.trim())}
      said={({ name }) => `Image ${name} is being made`}
      onClose={onClose}
    >
      <p>
        The root disk is copied as it is at one moment; the guest goes on. What the guest has not written to its disk by then is not in it.
      </p>
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
    </FormDialog>
  );
}
