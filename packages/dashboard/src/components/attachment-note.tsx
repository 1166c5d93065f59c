import { Problem } from './problem.tsx';
import type { Attachment } from './use-attached.ts';

const sentences = {
  attaching: 'Attaching…',
  attached: 'Attached. It stays so when the guest moves.',
  again: 'Attaching again…',
  gone: 'The instance has been deleted.',
} as const;

/** How a console is attached, in words; `more` follows while it is. */
export function AttachmentNote({ attachment, more = '' }: { readonly attachment: Attachment; readonly more?: string }) {
  if (attachment.kind === 'refused') return <Problem error={attachment.error} what="The console cannot be shown." />;
  const tone = attachment.kind === 'attached' ? 'good' : attachment.kind === 'gone' ? 'bad' : 'warn';
  return (
    <p style={{ margin: '0 0 8px' }} role="status">
      <span className={`status ${tone}`}>
        {sentences[attachment.kind]} {more}
      </span>
    </p>
  );
}
