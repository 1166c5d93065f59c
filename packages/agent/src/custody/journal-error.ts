/** What can be wrong with a custody journal. */
export const JOURNAL_ERRORS = {
  'journal-corrupt': 'A record in the middle of the custody journal is damaged: what this host promised cannot be read.',
  'journal-foreign': 'The custody journal belongs to another host, or is of a version that this agent does not know.',
  'journal-broken': 'An earlier write to the custody journal failed half-way: the agent must restart before it can promise anything.',
  'journal-write-failed': 'The custody journal could not be written; nothing was promised.',
} as const;

export type JournalErrorCode = keyof typeof JOURNAL_ERRORS;

export class JournalError extends Error {
  override readonly name = 'JournalError';
  readonly code: JournalErrorCode;
  constructor(code: JournalErrorCode, detail: string, options?: ErrorOptions) {
    super(`${JOURNAL_ERRORS[code]} (${detail})`, options);
    this.code = code;
  }
}
