/** One look at a copy under way. */
export type ConvergenceSample = {
  /** Since the stream began. */
  readonly atMs: number;
  /** QEMU's `dirty-sync-count`: grows when a round ends and what the guest wrote meanwhile has been counted. The first pass over all memory is round 1. */
  readonly round: number;
  readonly transferredBytes: number;
  /** What is left to be sent. Just after a round has ended this is what a stop would have to send. */
  readonly remainingBytes: number;
  /** Of memory, in the last moment; 0: not known yet. */
  readonly bandwidthBytesPerSecond: number;
  /** As QEMU counts it, over a second or more; 0: not known yet. */
  readonly dirtyBytesPerSecond: number;
  /** Of a compressed stream; absent: a byte on the wire is a byte of memory. */
  readonly memoryPerByte?: MemoryPerByte;
};

/** How much memory a byte on the wire carries, where it is compressed. */
export type MemoryPerByte = {
  /** As it was when the speed was read. */
  readonly sent: number;
  /** As may be counted on for what is left: what a guest writes compresses otherwise than what lay still. */
  readonly left: number;
};

/** What is to be done about it. `why` is one sentence for the record. */
export type ConvergenceAction =
  | { readonly kind: 'wait' }
  | { readonly kind: 'set-downtime-limit'; readonly limitMs: number; readonly why: string }
  | { readonly kind: 'throttle'; readonly percent: number; readonly why: string }
  /** Stop the guest now for as long as the rest takes: pause and finish. */
  | { readonly kind: 'hold'; readonly expectedMs: number; readonly why: string }
  | { readonly kind: 'post-copy'; readonly why: string }
  | { readonly kind: 'give-up'; readonly cause: 'WillNotConverge' | 'DeadlineExceeded'; readonly why: string };
