import { useQuery } from '@tanstack/react-query';
import { Form, InputNumber } from 'antd';
import { type Bounds, type Size, scale, scaleServer } from '../api/scale.ts';
import type { Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatMib, formatVcpus } from '../model/formats.ts';
import { words } from '../words.ts';

type Values = { readonly vcpus?: number | null; readonly ramMib?: number | null };

/** Scale: other vCPUs and memory where the guest is, without a restart; fewer vCPUs only while it is off. */
export function ScaleDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const now = useQuery(scale(api, server.id));
  const isOff = server['OS-EXT-STS:vm_state'] === 'stopped';
  const vcpus = now.data === undefined ? undefined : { ...now.data.vcpus, ...(!isOff && { least: now.data.vcpus.current }) };
  const ramMib = now.data?.ramMib;
  const fixed = now.data !== undefined && isFixed(now.data.vcpus) && isFixed(now.data.ramMib);
  return (
    <FormDialog<Values>
      title={`${words.actions.scale} ${server.name}`}
      ok={words.dialog.confirm}
      refreshes="server"
      onSubmit={(values) => scaleServer(api, server.id, sizeOf(values))}
      said={(values) => `Scaling of ${server.name} to ${formatSize(sizeOf(values))} accepted`}
      onClose={onClose}
    >
      <p>
        {server.name} has {formatVcpus(server.flavor.vcpus)} and {formatMib(server.flavor.ram)} of memory.{' '}
        {fixed
          ? `Its flavor ${server.flavor.original_name} lets it have no others: that needs the extra spec godwit:max_vcpus or godwit:max_ram_mib.`
          : 'A running guest is given more without a restart. It gives up no vCPU, and memory as far as it does not use it. It has to bring both online.'}
      </p>
      <Form.Item name="vcpus" label="vCPUs" rules={[oneOfBoth('ramMib')]} dependencies={['ramMib']} extra={range(vcpus)}>
        <InputNumber disabled={vcpus !== undefined && vcpus.least === vcpus.most} {...bounds(vcpus)} precision={0} />
      </Form.Item>
      <Form.Item name="ramMib" label="Memory (MiB)" extra={range(ramMib)}>
        <InputNumber disabled={ramMib !== undefined && isFixed(ramMib)} {...bounds(ramMib)} precision={0} step={2} />
      </Form.Item>
    </FormDialog>
  );
}

const isFixed = ({ least, most }: Bounds): boolean => least === most;
const bounds = (of: Bounds | undefined) => (of === undefined ? {} : { min: of.least, max: of.most });
const range = (of: Bounds | undefined) => (of === undefined || isFixed(of) ? undefined : `${of.least} to ${of.most}`);
const sizeOf = ({ vcpus, ramMib }: Values): Size => ({ ...(vcpus != null && { vcpus }), ...(ramMib != null && { ramMib }) });
const formatSize = ({ vcpus, ramMib }: Size): string =>
  [...(vcpus === undefined ? [] : [formatVcpus(vcpus)]), ...(ramMib === undefined ? [] : [formatMib(ramMib)])].join(' and ');

/** A rule of the form: this field or the other one has a value. */
const oneOfBoth =
  (other: string) =>
  ({ getFieldValue }: { readonly getFieldValue: (name: string) => unknown }) => ({
    validator: (_rule: unknown, value: unknown) =>
      value == null && getFieldValue(other) == null
        ? Promise.reject(new Error('Give a number of vCPUs, an amount of memory, or both.'))
        : Promise.resolve(),
  });
