/**
 * 32-bit hash of a host id (FNV-1a): the part of the tie-break that does not change between decisions, so that a warm
 * snapshot computes it once per host.
 */
export function hashId(id: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** Mixes a host's hash with the decision's seed (murmur3's finalizer): equal inputs, equal order; another seed, another order. */
export function tieBreak(idHash: number, seed: number): number {
  let hash = (idHash ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
