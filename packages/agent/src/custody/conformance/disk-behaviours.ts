/**
 * Every behaviour of QEMU that the copying of a running guest's disks rests on, each with the test of the same name in disk-behaviours.real.test.ts (which fails if one has
 * none).
 */
export const DISK_BEHAVIOURS = {
  'ended-mirror-is-whole':
    'a ready mirror that is cancelled without force while the guest is stopped completes with len == offset, and the copy equals the disk',
  'ended-mirror-was-flushed':
    'the target has acknowledged a flush before the mirror completes; one that fails its flush makes it end with an error',
  'unready-cancel-is-no-success': 'a mirror that is cancelled before it is ready ends in BLOCK_JOB_CANCELLED',
  'source-keeps-its-disk': 'after its mirror has ended without a pivot the guest writes to its own disk, and the copy stays as it was',
  'background-write-does-not-wait': 'with copy-mode background a write of the guest returns while the target is frozen',
  'blocking-write-waits': 'with copy-mode write-blocking a write of the guest returns only when the target has it',
  'dead-target-ends-mirror': 'a target that dies while copying ends the mirror with an error; the guest runs on',
  'dead-target-spoils-the-end':
    'a target that dies when the mirror is ready and idle shows nothing, and its end is an error, never a success',
  'hanging-mirror-tells-an-old-debt':
    'a mirror of which an operation hangs tells the length and the offset of before, whatever the guest writes meanwhile; the bitmap of its node counts on',
  'yank-ends-mirror': 'a mirror whose target is frozen is ended by yank, with an error; the guest runs on',
  'forced-cancel-ends-mirror': 'a mirror whose target is frozen is ended by a forced cancel; the guest runs on',
  'sparse-stays-sparse': 'what the disk has not allocated, or holds as zeros, takes no room in the copy',
  'top-copies-the-overlay': 'sync=top copies what lies above the image, onto a target that lies on the same image',
  'cont-beside-export-accepted':
    'cont on a loaded destination is accepted while its disk is exported for writing: nothing but our order keeps two writers apart',
  'export-asks-who-comes':
    'an export with TLS and authorization lets in the certificate whose whole subject it names; neither another of the same CA, nor anybody without TLS',
  'io-error-arrives-as-io-error':
    'a guest that a full disk has stopped arrives in io-error, completed, and does not start by itself; cont there does its write again, and it runs on',
  'io-error-stays-after-cancel': 'a guest that a full disk has stopped stays in io-error when its migration is cancelled',
} as const;

export type DiskBehaviour = keyof typeof DISK_BEHAVIOURS;
