/** Numbers from 0 to below 1 that look like chance and are the same for the same seed (a multiplicative generator of Park and Miller). */
export function randomFrom(seed: number): () => number {
  let state = Math.max(1, Math.floor(Math.abs(seed)) % 2_147_483_647);
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
