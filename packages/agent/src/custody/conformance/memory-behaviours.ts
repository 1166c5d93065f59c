/** Every behaviour of QEMU that suspend and resume rest on, each with the test of the same name in memory-behaviours.real.test.ts (which fails if one has none). */
export const MEMORY_BEHAVIOURS = {
  'saved-stands-in-postmigrate':
    'a QEMU that has saved its memory to a file is completed and stands in postmigrate: the guest runs no further',
  'saved-memory-comes-back':
    'the file holds all of the memory when status turns completed: after SIGKILL another QEMU, with the same disk under locks, loads the very bytes, and runs on by cont',
  'loaded-memory-waits': 'with -S a loaded memory ends paused and completed, tells no start, and holds no lock of its disk until cont',
  'cont-in-loading-arms-autostart':
    'cont while a memory is being loaded returns success, and the guest starts by itself when it is: only paused and completed will do',
  'cont-after-saving-runs-on': 'cont lets the guest of a QEMU that has saved its memory run on',
  'cancelled-saving-resumes': 'the guest runs while its memory is saved, and runs on by itself after a cancel',
  'full-disk-runs-on': 'without room for the file the saving fails, saying so, and the guest runs on by itself',
  'shut-down-while-saved-loads-as-shutdown':
    'a guest that shuts down while its memory is saved is saved all the same; loaded it stands in that state, completed, and cannot be continued',
  'damaged-memory-is-refused': 'a file that is cut off by half, empty or not there is not loaded: QEMU ends, and has never run',
  'cut-tail-is-not-noticed': 'a file without its last bytes is loaded all the same: that it is whole is for us to look at, by its length',
  'spent-memory-loads-again':
    'QEMU itself loads the same file any number of times: nothing but our journal keeps a memory from running twice',
} as const;

export type MemoryBehaviour = keyof typeof MEMORY_BEHAVIOURS;
