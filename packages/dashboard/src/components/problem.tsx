import { Alert } from 'antd';
import { ApiRefusal } from '../api/request.ts';

/** What went wrong, in the API's own sentence, with the request id that finds it in the log. */
export function Problem({ error, what }: { readonly error: unknown; readonly what: string }) {
  const sentence = error instanceof Error ? error.message : String(error);
  const requestId = error instanceof ApiRefusal ? error.requestId : null;
  return (
    <Alert
      type="error"
      showIcon
      style={{ marginBottom: 12 }}
      title={what}
      description={
        <>
          {sentence}
          {requestId !== null && <div className="mono muted">{requestId}</div>}
        </>
      }
    />
  );
}
