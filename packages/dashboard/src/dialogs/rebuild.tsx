import { useQuery } from '@tanstack/react-query';
import { Form, Select } from 'antd';
import { imageList } from '../api/resources.ts';
import { rebuildServer, type Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { words } from '../words.ts';

/** Rebuild: the same instance, begun anew from an image. Says what is lost. */
export function RebuildDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const images = useQuery(imageList(api));
  return (
    <FormDialog<{ readonly image: string }>
      title={`${words.actions.rebuild} ${server.name}`}
      ok={words.actions.rebuild}
      danger
      refreshes="server"
      initial={server.image === '' ? {} : { image: server.image.id }}
      onSubmit={({ image }) => rebuildServer(api, server.id, image)}
      said={() => `Rebuild of ${server.name} accepted`}
      onClose={onClose}
    >
      <p>
        {server.name} begins anew from the image: what is on its root disk is lost. It keeps its id, its name, its addresses and its size,
        and stays on its host.
      </p>
      <Form.Item name="image" label="Image" rules={[{ required: true, message: 'Choose an image.' }]}>
        <Select
          loading={images.isPending}
          options={(images.data ?? [])
            .filter(({ status }) => status === 'active')
            .map((image) => ({ value: image.id, label: image.name ?? image.id }))}
        />
      </Form.Item>
    </FormDialog>
  );
}
