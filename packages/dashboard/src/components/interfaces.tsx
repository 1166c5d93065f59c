import { useQuery } from '@tanstack/react-query';
import { App, Button } from 'antd';
import { lazy, Suspense, useEffect, useState } from 'react';
import { detachInterface, type Interface, serverInterfaces } from '../api/interfaces.ts';
import { networkList } from '../api/resources.ts';
import { callerFacts, type Server } from '../api/servers.ts';
import { serverFacts, whyNot } from '../model/menu-entries.ts';
import { words } from '../words.ts';
import { announce } from './announcer.tsx';
import { CopyableId } from './copyable-id.tsx';
import { type Column, DataTable } from './data-table.tsx';
import { Problem } from './problem.tsx';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';

const AttachInterfaceDialog = lazy(async () => ({
  default: (await import('../dialogs/attach-interface.tsx')).AttachInterfaceDialog,
}));

const addressOf = (one: Interface): string => one.fixed_ips[0]?.ip_address ?? one.mac_addr;

/** The network cards of an instance, attached and detached here while it runs; what is impossible says why, from the table that the API uses. */
export function Interfaces({ server }: { readonly server: Server }) {
  const api = useApi();
  const { modal, message } = App.useApp();
  const interfaces = useQuery(serverInterfaces(api, server.id));
  const networks = useQuery(networkList(api));
  const [attaching, setAttaching] = useState(false);
  const { busy, run } = useChange('server');
  const [asked, setAsked] = useState<Interface | null>(null);
  const facts = serverFacts(server, null);
  const whyNotAttach = whyNot('attach-interface', facts, callerFacts(api));
  const whyNotDetach = whyNot('detach-interface', facts, callerFacts(api));
  const idle = server['OS-EXT-STS:task_state'] === null;
  const { refetch } = interfaces;
  // A detach is accepted long before the guest has given the card up, which it may refuse to.
  useEffect(() => {
    if (asked === null || !idle) return;
    let left = false;
    void refetch().then(({ data }) => {
      if (left || data === undefined) return;
      const kept = data.some(({ port_id }) => port_id === asked.port_id);
      const said = kept
        ? `${addressOf(asked)} was not detached from ${server.name}: its action log says why`
        : `${addressOf(asked)} is detached from ${server.name}`;
      announce(said);
      if (kept) void message.error(said, 8);
      else void message.success(said);
      setAsked(null);
    });
    return () => {
      left = true;
    };
  }, [asked, idle, refetch, message, server.name]);
  const detach = (one: Interface): void => {
    modal.confirm({
      title: `Detach ${addressOf(one)} from ${server.name}?`,
      content: 'The guest loses this network card and its address; connections over it end.',
      okText: words.interfaces.detach,
      okButtonProps: { danger: true },
      cancelText: words.dialog.cancel,
      onOk: async () => {
        if (await run(`Detaching ${addressOf(one)} accepted`, () => detachInterface(api, server.id, one.port_id))) setAsked(one);
      },
    });
  };
  const columns: readonly Column<Interface>[] = [
    {
      key: 'network',
      title: 'Network',
      render: ({ net_id }) => networks.data?.find(({ id }) => id === net_id)?.name ?? net_id.slice(0, 8),
    },
    {
      key: 'addresses',
      title: 'Addresses',
      render: ({ fixed_ips }) =>
        fixed_ips.length === 0 ? <span className="muted">none</span> : fixed_ips.map(({ ip_address }) => ip_address).join(', '),
    },
    { key: 'mac', title: 'MAC address', render: ({ mac_addr }) => <span className="mono">{mac_addr}</span> },
    {
      key: 'port',
      title: 'Port',
      className: 'wide',
      render: (one) => <CopyableId id={one.port_id} short what={`port of ${addressOf(one)}`} />,
    },
    {
      key: 'state',
      title: 'State',
      render: ({ port_id, port_state }) => (
        <span className={`status ${port_id === asked?.port_id ? 'busy' : port_state === 'ACTIVE' ? 'good' : 'warn'}`}>
          {port_id === asked?.port_id ? 'being detached' : port_state}
        </span>
      ),
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 90,
      render: (one) => (
        <Button
          size="small"
          disabled={whyNotDetach !== null || busy || asked !== null}
          title={whyNotDetach ?? undefined}
          aria-label={`${words.interfaces.detach} ${addressOf(one)}`}
          onClick={() => detach(one)}
        >
          {words.interfaces.detach}
        </Button>
      ),
    },
  ];
  return (
    <>
      <div className="page-head">
        <h2 style={{ margin: 0 }}>{words.interfaces.title}</h2>
        <span className="grow" />
        {whyNotAttach !== null && <span className="muted">{whyNotAttach}</span>}
        <Button disabled={whyNotAttach !== null || busy} onClick={() => setAttaching(true)}>
          {words.interfaces.attach}
        </Button>
      </div>
      {interfaces.isError && <Problem error={interfaces.error} what="The interfaces could not be listed." />}
      <DataTable<Interface>
        label={words.interfaces.title}
        tall
        columns={columns}
        rows={interfaces.data ?? []}
        rowKey={({ port_id }) => port_id}
        loading={interfaces.isPending}
        empty="It has no network card. Attach one to connect it to a network."
        maxHeight="none"
      />
      {attaching && (
        <Suspense>
          <AttachInterfaceDialog server={server} onClose={() => setAttaching(false)} />
        </Suspense>
      )}
    </>
  );
}
