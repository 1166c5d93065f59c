/** A one-time token as an operator carries it from the controller to a new host: `<secret>.<sha256 of the CA's certificate>`. */
export type JoinToken = { readonly text: string; readonly secret: string; readonly caFingerprint: string };

/** Parses the text of a token file. Throws with a sentence for the operator; the secret is not repeated in it. */
export function parseJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  const match = /^([A-Za-z0-9_-]{16,})\.([0-9a-f]{64})$/.exec(trimmed);
  if (!match) throw new Error('the join token is not `<secret>.<sha256 of the CA certificate>`');
  return { text: trimmed, secret: match[1] ?? '', caFingerprint: match[2] ?? '' };
}
