import { useQuery } from '@tanstack/react-query';
import { Select } from 'antd';
import { useDeferredValue, useState } from 'react';
import { type Server, serversNamed } from '../api/servers.ts';
import type { View } from '../sidebar.ts';
import { useApi } from './signed-in.tsx';

/** One server out of any number: the API is asked for those whose name holds what was typed. A form's field. */
export function ServerChoice(props: {
  readonly view: View;
  readonly suits: (server: Server) => boolean;
  /** Given by the form. */
  readonly id?: string;
  readonly value?: string;
  readonly onChange?: (id: string) => void;
}) {
  const { view, suits, id, value, onChange } = props;
  const api = useApi();
  const [typed, setTyped] = useState('');
  const found = useQuery(serversNamed(api, view, useDeferredValue(typed)));
  return (
    <Select
      {...(id === undefined ? {} : { id })}
      showSearch={{ onSearch: setTyped, filterOption: false }}
      value={value ?? null}
      onChange={(next: string | null) => {
        if (next !== null) onChange?.(next);
      }}
      loading={found.isFetching}
      notFoundContent={found.isFetching ? 'Looking…' : 'No instance that could be chosen is called so.'}
      options={(found.data ?? []).filter(suits).map((server) => ({ value: server.id, label: server.name }))}
    />
  );
}
