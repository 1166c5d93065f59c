/**
 * What QEMU does in post-copy, each with the test of the same name in postcopy-behaviours.real.test.ts (which fails if one has none). Those that resume the source, or
 * strand the guest, are why post-copy is off ("Post-copy" in domain/custody/README.md): a QEMU with which one of them fails is to be looked at anew.
 */
export const POSTCOPY_BEHAVIOURS = {
  'passes-through':
    'the source stops, passes device and postcopy-active in finish-migrate, and ends completed in postmigrate; the destination has loaded when it is paused with postcopy-active, and waits for cont',
  'cut-before-cont-pauses-both':
    'a link that breaks when the destination has loaded and has not run: both stand in postcopy-paused; the source refuses cont and cancel and does not resume; the destination would accept cont',
  'cut-before-load-strands-the-guest':
    'a link that breaks between postcopy-active at the source and the load: the destination ends, the source stands in postcopy-paused and refuses cont and cancel; the guest can run nowhere',
  'cut-at-the-end-resumes-the-source':
    'a link that breaks when the source has sent everything and waits for the last word: the source fails and runs on by itself, beside the guest at the destination',
  'pause-after-the-last-page-resumes-the-source':
    'the pause with which every recovery begins, when all was sent and not all arrived: the source fails and runs on by itself; its guest at the destination has been running without all its memory',
  'stopped-source-stays-stopped':
    'a source that was stopped before migrate-start-postcopy does not run on when it fails at the end; cont would be accepted',
  'waiting-destination-hangs': 'a destination that waits for a page which does not come answers nothing but out of band',
  recovers:
    'after migrate-pause on both sides, migrate-recover at the destination and a resumed migrate through another path, the move completes; cont on the paused source is refused meanwhile',
  'recovers-with-tls': 'the same with TLS on both paths',
  'destination-death-strands-the-source':
    'a destination that is killed in post-copy leaves the source in postcopy-paused, which refuses cont and cancel',
} as const;

export type PostcopyBehaviour = keyof typeof POSTCOPY_BEHAVIOURS;
