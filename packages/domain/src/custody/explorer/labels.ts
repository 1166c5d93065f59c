import type { Message } from './world.ts';

/** A message to a host in one line of a counterexample. */
export function textOf(message: Extract<Message, { to: 'host' }>): string {
  if ('peer' in message) return message.peer.kind === 'release' ? `the release of epoch ${message.peer.release.epoch}` : text(message.peer);
  return `${text(message.command)} (fence ${message.command.fence})`;
}

/** A message's kind, epoch, and what it says of the source or the copy. */
export function text(message: { readonly kind: string }): string {
  const fields = message as {
    readonly epoch?: number;
    readonly source?: string;
    readonly grant?: { readonly epoch: number };
    readonly alive?: boolean;
  };
  const epoch = fields.grant?.epoch ?? fields.epoch;
  const extra = fields.source ?? (fields.alive === undefined ? '' : fields.alive ? 'alive' : 'dead');
  return [message.kind, epoch ?? '', extra].filter((part) => part !== '').join(' ');
}
