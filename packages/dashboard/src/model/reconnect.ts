/** How long to wait before the n-th attempt in a row (from 0), in milliseconds: at once, then longer, at most 3 s. */
export const pauseBeforeMs = (attempt: number): number => (attempt === 0 ? 0 : Math.min(3_000, 150 * 2 ** attempt));
