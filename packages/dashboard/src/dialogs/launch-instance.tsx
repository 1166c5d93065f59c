import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { App, Form, Input, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { flavorList, imageList, keyPairList, networkList, serverGroupList, zoneList } from '../api/resources.ts';
import { securityGroupList } from '../api/security-groups.ts';
import { launch } from '../api/servers.ts';
import { announce } from '../components/announcer.tsx';
import { Dialog } from '../components/dialog.tsx';
import { GoLink } from '../components/go-link.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatMib, formatVcpus } from '../model/formats.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';

type Values = {
  readonly name: string;
  readonly image: string;
  readonly flavor: string;
  readonly networks?: readonly string[];
  readonly count: number;
  readonly zone?: string;
  readonly keyPair?: string;
  readonly group?: string;
  readonly securityGroups?: readonly string[];
};

/** Launches instances in the project of the session. */
export function LaunchDialog({ view, onClose }: { readonly view: View; readonly onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const { notification } = App.useApp();
  const navigate = useNavigate();
  const [form] = Form.useForm<Values>();
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const images = useQuery(imageList(api));
  const flavors = useQuery(flavorList(api));
  const networks = useQuery(networkList(api));
  const zones = useQuery(zoneList(api));
  const keyPairs = useQuery(keyPairList(api));
  const groups = useQuery(serverGroupList(api, false));
  const securityGroups = useQuery(securityGroupList(api));

  const submit = async (values: Values): Promise<void> => {
    setBusy(true);
    setRefused(null);
    try {
      const id = await launch(
        api,
        {
          name: values.name,
          imageRef: values.image,
          flavorRef: values.flavor,
          networks: values.networks === undefined || values.networks.length === 0 ? 'auto' : values.networks.map((uuid) => ({ uuid })),
          min_count: values.count,
          max_count: values.count,
          ...(values.keyPair === undefined ? {} : { key_name: values.keyPair }),
          ...(values.securityGroups === undefined || values.securityGroups.length === 0
            ? {}
            : { security_groups: values.securityGroups.map((name) => ({ name })) }),
          ...(values.zone === undefined ? {} : { availability_zone: values.zone }),
        },
        values.group ?? null,
      );
      const title = values.count === 1 ? `${values.name} is being built` : `${values.count} instances are being built`;
      announce(title);
      notification.info({
        placement: 'bottomRight',
        title,
        description: (
          <GoLink to={`/${view}/instances/${id}`} navigate={navigate}>
            View {values.count === 1 ? 'it' : 'the first'}
          </GoLink>
        ),
        duration: 6,
      });
      void queries.invalidateQueries({ queryKey: ['server'] });
      onClose();
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  const required = (what: string) => [{ required: true, message: `Choose ${what}.` }];
  return (
    <Dialog
      title={words.launchInstance}
      okText={words.launchInstance}
      okButtonProps={{ loading: busy }}
      onOk={() => form.submit()}
      onCancel={onClose}
    >
      {refused !== null && <Problem error={refused} what="The instance was not launched." />}
      <Form<Values>
        form={form}
        layout="vertical"
        requiredMark="optional"
        initialValues={{ count: 1 }}
        onFinish={(values) => void submit(values)}
      >
        <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
          <Input autoFocus maxLength={255} />
        </Form.Item>
        <Form.Item name="image" label="Image" rules={required('an image')}>
          <Select
            loading={images.isPending}
            options={(images.data ?? [])
              .filter((image) => image.status === 'active')
              .map((image) => ({ value: image.id, label: image.name ?? image.id }))}
          />
        </Form.Item>
        <Form.Item name="flavor" label="Flavor" rules={required('a flavor')}>
          <Select
            loading={flavors.isPending}
            options={(flavors.data ?? []).map((flavor) => ({
              value: flavor.id,
              label: `${flavor.name} (${formatVcpus(flavor.vcpus)}, ${formatMib(flavor.ram)}, ${flavor.disk} GiB)`,
            }))}
          />
        </Form.Item>
        <Form.Item name="networks" label="Networks" extra="None chosen: the project's network.">
          <Select mode="multiple" options={(networks.data ?? []).map((network) => ({ value: network.id, label: network.name }))} />
        </Form.Item>
        <Form.Item name="count" label="Number of instances" rules={[{ required: true, message: 'How many?' }]}>
          <InputNumber min={1} max={100} precision={0} />
        </Form.Item>
        <Form.Item name="zone" label="Availability zone">
          <Select allowClear options={(zones.data ?? []).map(({ zoneName }) => ({ value: zoneName, label: zoneName }))} />
        </Form.Item>
        <Form.Item name="group" label="Server group">
          <Select
            allowClear
            options={(groups.data ?? []).map((group) => ({ value: group.id, label: `${group.name} (${group.policy})` }))}
          />
        </Form.Item>
        <Form.Item name="securityGroups" label="Security groups" extra="None chosen: the project's default group.">
          <Select
            mode="multiple"
            options={(securityGroups.data ?? [])
              .filter(({ project_id }) => project_id === api.session.project.id)
              .map(({ name }) => ({ value: name, label: name }))}
          />
        </Form.Item>
        <Form.Item name="keyPair" label="Key pair">
          <Select allowClear options={(keyPairs.data ?? []).map(({ name }) => ({ value: name, label: name }))} />
        </Form.Item>
      </Form>
    </Dialog>
  );
}
