/** Something that does not go on by itself, with what was observed and the safe thing to do. Sentences are whole and for the operator. */
export type Problem = {
  readonly kind: 'late-migration' | 'failing-workflow' | 'guest-differs' | 'silent-host' | 'forgotten-resize' | 'leaked-claim';
  readonly subject: { readonly type: 'migration' | 'server' | 'host'; readonly id: string; readonly name: string };
  readonly sentence: string;
  readonly evidence: readonly string[];
  /** UTC; null where nobody saw it begin. */
  readonly since: string | null;
  readonly action: SafeAction;
};

/** What cannot make it worse. Without a request there is nothing to call: the sentence says what to do. */
export type SafeAction = {
  readonly sentence: string;
  readonly request: {
    readonly service: 'godwit' | 'compute';
    readonly method: 'POST' | 'DELETE';
    /** Below the service's base. */
    readonly path: string;
    readonly body: object | null;
  } | null;
};

export const nothingToCall = (sentence: string): SafeAction => ({ sentence, request: null });
