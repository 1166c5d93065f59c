import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input } from 'antd';
import { useState } from 'react';
import { deleteKeyPair, importKeyPair, type KeyPair, keyPairList } from '../api/resources.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';

/** The person's own ssh keys. The private half never comes here. */
export function KeyPairs() {
  const api = useApi();
  const [importing, setImporting] = useState(false);
  const keyPairs = useQuery(keyPairList(api));
  const { run } = useChange('key-pair');
  const columns: readonly Column<KeyPair>[] = [
    { key: 'name', title: 'Name', sortBy: (pair) => pair.name, render: (pair) => <strong>{pair.name}</strong> },
    { key: 'type', title: 'Type', render: (pair) => pair.type },
    { key: 'fingerprint', title: 'Fingerprint', render: (pair) => <span className="mono">{pair.fingerprint}</span> },
    {
      key: 'actions',
      title: 'Actions',
      width: 84,
      render: (pair) => (
        <DeleteButton
          what="key pair"
          name={pair.name}
          onDelete={() => run(`Key pair ${pair.name} deleted`, () => deleteKeyPair(api, pair.name))}
        />
      ),
    },
  ];
  return (
    <>
      <PageHead title="Key Pairs">
        <Button type="primary" onClick={() => setImporting(true)}>
          Import Key Pair
        </Button>
      </PageHead>
      {keyPairs.isError && <Problem error={keyPairs.error} what="The key pairs could not be listed." />}
      <DataTable<KeyPair>
        label="Key Pairs"
        columns={columns}
        rows={keyPairs.data ?? []}
        rowKey={(pair) => pair.name}
        loading={keyPairs.isPending}
        empty="You have no key pairs. Import the public half of your ssh key to have it put into new instances."
      />
      {importing && (
        <FormDialog<{ readonly name: string; readonly publicKey: string }>
          title="Import Key Pair"
          ok="Import"
          refreshes="key-pair"
          onSubmit={({ name, publicKey }) => importKeyPair(api, name, publicKey.trim())}
          said={({ name }) => `Key pair ${name} imported`}
          onClose={() => setImporting(false)}
        >
          <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
            <Input autoFocus maxLength={255} />
          </Form.Item>
          <Form.Item name="publicKey" label="Public key" rules={[{ required: true, whitespace: true, message: 'Paste the public key.' }]}>
            <Input.TextArea rows={4} placeholder="ssh-ed25519 AAAA…" />
          </Form.Item>
        </FormDialog>
      )}
    </>
  );
}
