/** Every behaviour of QEMU that custody rests on, each with the test of the same name in behaviours.real.test.ts (which fails if one has none), for every way of sending memory. */
export const BEHAVIOURS = {
  'incoming-waits': 'with -S -incoming defer the runstate is inmigrate until the guest has arrived',
  'loaded-is-paused':
    'a loaded destination with -S ends paused with status completed, does not start by itself, and tells its start before it answers cont',
  'completed-is-postmigrate': 'a completed source stands in postmigrate',
  'cont-in-inmigrate-arms-autostart': 'cont in inmigrate returns success, and the guest starts by itself once it has loaded',
  'cont-on-completed-source-accepted': 'cont on a completed source is accepted: two copies run',
  'cancel-resumes': 'after a cancel the source runs on by itself, its status cancelled or failed',
  'cancel-on-completed-is-nothing': 'cancel on a completed source changes nothing',
  'destination-death-resumes': 'the source runs on by itself when the destination dies while copying',
  'lost-channel-fails': 'when one of several channels breaks, the source fails and runs on, and the destination ends',
  'silent-channel-never-completes':
    'when what one of several channels sends gets lost without a word, the source stands in device until it is cancelled, and then runs on',
  'missing-device-fails': 'with a return path, a destination that lacks a device makes the source fail and run on',
  'failed-load-exits': 'a destination whose load fails ends its process and never runs',
  'source-death-ends-incoming': 'a destination whose source dies while copying ends its process and never runs',
  'pre-switchover-nobody-runs': 'in pre-switchover neither side runs and QEMU has no timeout; a cancel resumes',
  'pre-switchover-death-resumes': 'continued after the death of the destination, a source in pre-switchover runs on by itself',
  'no-completion-before-load': 'with a return path the source is not completed before the destination has loaded',
  'paused-stays-paused': 'a paused guest migrates, stays paused at the destination, and its source stands in postmigrate',
  'shutdown-arrives-as-shutdown': 'a guest that has shut down arrives in that state and cannot be continued',
  'forfeit-then-resume': 'a completed source runs on by cont after its destination was killed',
  'arrived-shows-completed': 'a guest that arrived shows status completed while it runs, until it leaves itself',
  'ended-status-stays': 'after a failed migration the status stays failed until the next one, which can be begun',
  'paused-after-forfeit-stays-postmigrate': 'stop does not take a completed source out of postmigrate',
  'late-activation-waits-for-cont':
    'with late-block-activate neither side holds the image lock from the source’s completion until cont, though the read-only image below was activated',
  'zombie-is-dead': 'a killed QEMU that nobody reaps still has a pid that can be signalled, and counts as dead',
} as const;

export type Behaviour = keyof typeof BEHAVIOURS;
