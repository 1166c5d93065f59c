/** One thing that was looked at. `problem`: something does not work or will not for long; `warning`: it works, and less well than it could. */
export type Finding = {
  /** What was looked at: `kvm`, `clock`, `certificate` … */
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'problem';
  /** The host, server or thing that it is about; empty: the whole. */
  readonly subject: string;
  readonly sentence: string;
  /** What to do; empty for `ok`. */
  readonly remedy: string;
};

export const ok = (check: string, subject: string, sentence: string): Finding => ({ check, level: 'ok', subject, sentence, remedy: '' });

export const warning = (check: string, subject: string, sentence: string, remedy: string): Finding => ({
  check,
  level: 'warning',
  subject,
  sentence,
  remedy,
});

export const problem = (check: string, subject: string, sentence: string, remedy: string): Finding => ({
  check,
  level: 'problem',
  subject,
  sentence,
  remedy,
});
