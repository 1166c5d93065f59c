import { useQuery } from '@tanstack/react-query';
import { Form, Select } from 'antd';
import { flavorList } from '../api/resources.ts';
import { resizeServer, type Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatMib, formatVcpus } from '../model/formats.ts';
import { words } from '../words.ts';

/** Resize: another flavor, on whatever host has room for it; then its owner confirms or reverts. */
export function ResizeDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const flavors = useQuery(flavorList(api));
  const { original_name: current, vcpus, ram } = server.flavor;
  return (
    <FormDialog<{ readonly flavor: string }>
      title={`${words.actions.resize} ${server.name}`}
      ok={words.dialog.confirm}
      refreshes="server"
      onSubmit={({ flavor }) => resizeServer(api, server.id, flavor)}
      said={() => `Resize of ${server.name} accepted`}
      onClose={onClose}
    >
      <p>
        {server.name} has {current}: {formatVcpus(vcpus)}, {formatMib(ram)}. The guest is shut down and started with the new flavor, perhaps
        on another host. It then stands in Verify Resize until that is confirmed or reverted.
      </p>
      <Form.Item name="flavor" label="Flavor" rules={[{ required: true, message: 'Choose a flavor.' }]}>
        <Select
          loading={flavors.isPending}
          options={(flavors.data ?? [])
            .filter(({ name }) => name !== current)
            .map((flavor) => ({
              value: flavor.id,
              label: `${flavor.name} (${formatVcpus(flavor.vcpus)}, ${formatMib(flavor.ram)}, ${flavor.disk} GiB)`,
            }))}
        />
      </Form.Item>
    </FormDialog>
  );
}
