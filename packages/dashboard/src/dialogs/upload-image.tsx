import { useQueryClient } from '@tanstack/react-query';
import { Form, Input, Progress, Select } from 'antd';
import { useRef, useState } from 'react';
import { isAdmin } from '../api/session.ts';
import { type NewImage, uploadImage } from '../api/upload-image.ts';
import { announce } from '../components/announcer.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatBytes } from '../model/formats.ts';

/** Uploads a disk image from this computer, with progress; Cancel ends it and leaves nothing behind. */
export function UploadImageDialog({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const [form] = Form.useForm<NewImage>();
  const [file, setFile] = useState<File | null>(null);
  const [sent, setSent] = useState<number | null>(null);
  const [refused, setRefused] = useState<unknown>(null);
  const running = useRef<AbortController | null>(null);
  const upload = async (image: NewImage): Promise<void> => {
    if (file === null) return setRefused(new Error('Choose a file.'));
    const controller = new AbortController();
    running.current = controller;
    setRefused(null);
    setSent(0);
    try {
      await uploadImage(api, image, file, setSent, controller.signal);
      announce(`Image ${image.name} uploaded`);
      onClose();
    } catch (error) {
      if (!controller.signal.aborted) setRefused(error);
      setSent(null);
    }
    await queries.invalidateQueries({ queryKey: ['image'] });
  };
  const choose = (chosen: File | null): void => {
    setFile(chosen);
    if (chosen === null) return;
    if (chosen.name.endsWith('.raw') || chosen.name.endsWith('.img')) form.setFieldValue('diskFormat', 'raw');
    if (form.getFieldValue('name') === undefined) form.setFieldValue('name', chosen.name.replace(/\.(qcow2|raw|img)$/, ''));
  };
  const cancel = (): void => {
    running.current?.abort();
    onClose();
  };
  const percent = sent === null || file === null || file.size === 0 ? 0 : Math.floor((sent / file.size) * 100);
  return (
    <Dialog title="Upload Image" okText="Upload" okButtonProps={{ loading: sent !== null }} onOk={() => form.submit()} onCancel={cancel}>
      {refused !== null && <Problem error={refused} what="The image was not uploaded; nothing is registered." />}
      <Form<NewImage>
        form={form}
        layout="vertical"
        requiredMark="optional"
        disabled={sent !== null}
        initialValues={{ diskFormat: 'qcow2', visibility: 'private' }}
        onFinish={(image) => void upload(image)}
      >
        <label htmlFor="image-file">File</label>
        <input
          id="image-file"
          type="file"
          style={{ display: 'block', margin: '4px 0 12px' }}
          onChange={(event) => choose(event.target.files?.item(0) ?? null)}
        />
        <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
          <Input maxLength={255} />
        </Form.Item>
        <Form.Item name="diskFormat" label="Format" required>
          <Select options={['qcow2', 'raw'].map((value) => ({ value, label: value }))} />
        </Form.Item>
        {isAdmin(api.session) && (
          <Form.Item name="visibility" label="Visibility" required>
            <Select options={['private', 'public'].map((value) => ({ value, label: value }))} />
          </Form.Item>
        )}
      </Form>
      {sent !== null && file !== null && (
        <>
          <Progress percent={percent} aria-label="Upload" status="active" />
          <p className="muted">
            {formatBytes(sent)} of {formatBytes(file.size)}
            {percent === 100 && ', the service checks it'}
          </p>
        </>
      )}
    </Dialog>
  );
}
