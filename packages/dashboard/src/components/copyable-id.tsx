import { CopyOutlined } from '@ant-design/icons';
import { App, Button } from 'antd';

/** An id with a button that copies all of it; `short` shows its first eight characters. */
export function CopyableId({ id, short = false, what }: { readonly id: string; readonly short?: boolean; readonly what: string }) {
  const { message } = App.useApp();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(id);
      void message.success('Copied');
    } catch {
      // Browsers refuse the clipboard outside a secure context.
      void message.info(id);
    }
  };
  return (
    <span style={{ whiteSpace: 'nowrap' }}>
      <span className="mono" title={id}>
        {short ? id.slice(0, 8) : id}
      </span>
      <Button type="text" size="small" icon={<CopyOutlined />} aria-label={`Copy id of ${what}`} onClick={() => void copy()} />
    </span>
  );
}
