import { App, Button } from 'antd';
import { fenceHost, type MigrationRecord } from '../api/migrations.ts';
import { words } from '../words.ts';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';

/** A move that waits for a host which does not answer: wait, or give the word that the host is dead. Nothing else can be done without running two copies. */
export function WaysOut({ record }: { readonly record: MigrationRecord }) {
  const api = useApi();
  const { modal } = App.useApp();
  const { busy, run } = useChange('migration');
  if (record.waysOut.length === 0) return null;
  return (
    <section className="panel" aria-label="Ways out" style={{ borderColor: 'var(--warn)' }}>
      <h2>A host does not answer</h2>
      <ul style={{ marginBottom: 0 }}>
        {record.waysOut.map((way) => (
          <li key={`${way.kind} ${way.host}`}>
            {way.sentence}{' '}
            {way.kind === 'fence' && (
              <Button
                size="small"
                danger
                disabled={busy}
                onClick={() =>
                  modal.confirm({
                    title: `Declare ${way.host} fenced?`,
                    content: way.warning,
                    okText: `${way.host} is fenced`,
                    okButtonProps: { danger: true },
                    cancelText: words.dialog.cancel,
                    onOk: async () => void (await run(`${way.host} is fenced`, () => fenceHost(api, way.host))),
                  })
                }
              >
                {way.host} is fenced…
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
