import { REFUSALS, type Refusal } from '@godwit/domain/custody/refusal';

/** Custody said no; nothing has changed. Carries the whole refusal, so that a controller behind the truth can see how far. */
export class CustodyRefused extends Error {
  override readonly name = 'CustodyRefused';
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message || REFUSALS[refusal.code]);
    this.refusal = refusal;
  }
}
