import { useQuery } from '@tanstack/react-query';
import { Form, InputNumber } from 'antd';
import { scale, scaleServer } from '../api/scale.ts';
import type { Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatVcpus } from '../model/formats.ts';
import { words } from '../words.ts';

/** Scale: more vCPUs where the guest is, without a restart; fewer only while it is off. */
export function ScaleDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const now = useQuery(scale(api, server.id));
  const vcpus = now.data?.vcpus;
  const fixed = vcpus !== undefined && vcpus.least === vcpus.most;
  const least = vcpus === undefined ? 1 : server['OS-EXT-STS:vm_state'] === 'stopped' ? vcpus.least : vcpus.current;
  return (
    <FormDialog<{ readonly vcpus: number }>
      title={`${words.actions.scale} ${server.name}`}
      ok={words.dialog.confirm}
      refreshes="server"
      onSubmit={(values) => scaleServer(api, server.id, values.vcpus)}
      said={(values) => `Scaling of ${server.name} to ${formatVcpus(values.vcpus)} accepted`}
      onClose={onClose}
    >
      <p>
        {server.name} has {formatVcpus(server.flavor.vcpus)}.{' '}
        {fixed
          ? `Its flavor ${server.flavor.original_name} lets it have no others: that needs the extra spec godwit:max_vcpus.`
          : 'A running guest is given more without a restart, and gives none up; one that is off can have fewer. The guest has to bring a new vCPU online.'}
      </p>
      <Form.Item
        name="vcpus"
        label="vCPUs"
        rules={[{ required: true, message: 'Give a number of vCPUs.' }]}
        extra={vcpus === undefined || fixed ? undefined : `${least} to ${vcpus.most}`}
      >
        <InputNumber min={least} {...(vcpus === undefined ? {} : { max: vcpus.most })} precision={0} />
      </Form.Item>
    </FormDialog>
  );
}
