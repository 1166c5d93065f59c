import { Select } from 'antd';
import { words } from '../words.ts';

export type BlockChoice = boolean | 'auto';

/** Block Migrate for many instances at once: each by its own disks unless somebody says otherwise. */
export const BlockSelect = ({ value, onChange }: { readonly value: BlockChoice; readonly onChange: (value: BlockChoice) => void }) => (
  <Select
    id="block-migrate"
    aria-label={words.fields.blockMigrate}
    style={{ width: 230 }}
    value={String(value)}
    onChange={(next: string) => onChange(next === 'auto' ? 'auto' : next === 'true')}
    options={[
      { value: 'auto', label: 'where disks are local' },
      { value: 'true', label: 'yes: copy disks' },
      { value: 'false', label: 'no: shared disks only' },
    ]}
  />
);
