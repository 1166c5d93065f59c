import { createHmac } from 'node:crypto';

/**
 * The header `Godwit-Signature`: `t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>" by the shared secret, hexadecimal>`. A receiver computes the same over the bytes that it got, compares in
 * constant time, and refuses a `t` that is minutes old.
 */
export function signatureOf(secret: string, body: string, atMs: number): string {
  const seconds = Math.floor(atMs / 1_000);
  return `t=${seconds},v1=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`;
}
