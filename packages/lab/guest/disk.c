/*
 * Disk writer: record n goes to slot (n - 1) % slots of /dev/vda, one 4 KiB block each, with O_DIRECT | O_DSYNC, so that a
 * record counts as acknowledged only once the device said that it is on stable storage. The numbering goes on where the
 * disk left off, across boots. Verification reads every slot: the last `slots` records up to the highest one found must
 * all be there and whole, and nothing that was acknowledged since boot may be missing.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <unistd.h>

#define BLOCK 4096
#define MAGIC 0x44524f4345525747ull /* "GWRECORD" */
#define MOST_SLOTS 4096             /* 16 MiB: read back in well under a second under TCG */
#define SCAN_BLOCKS 64

struct record { uint64_t magic, number, nonce, written_us, sum; uint8_t filling[BLOCK - 40]; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct disk_report state;
static int disk = -1;

static uint64_t checksum(const struct record *record) {
  uint64_t sum = 0xcbf29ce484222325ull ^ record->number ^ record->nonce ^ record->written_us;
  for (size_t index = 0; index < sizeof record->filling; index++) sum = (sum ^ record->filling[index]) * 0x100000001b3ull;
  return sum;
}

/* Reads all slots. Calls nothing back: the caller gets the highest number and, per slot, the whole record's number (0: none). */
static bool read_slots(uint64_t *numbers, uint64_t *highest, uint64_t *torn) {
  struct record *blocks;
  if (posix_memalign((void **)&blocks, BLOCK, SCAN_BLOCKS * BLOCK) != 0) return false;
  *highest = *torn = 0;
  bool read_all = true;
  for (uint64_t first = 0; first < state.slots && read_all; first += SCAN_BLOCKS) {
    size_t count = state.slots - first < SCAN_BLOCKS ? (size_t)(state.slots - first) : SCAN_BLOCKS;
    if (pread(disk, blocks, count * BLOCK, (off_t)(first * BLOCK)) != (ssize_t)(count * BLOCK)) read_all = false;
    for (size_t index = 0; index < count && read_all; index++) {
      const struct record *record = &blocks[index];
      uint64_t slot = first + index;
      bool belongs = record->magic == MAGIC && record->number > 0 && (record->number - 1) % state.slots == slot;
      bool whole = belongs && record->sum == checksum(record);
      if (record->magic == MAGIC && !whole) (*torn)++;
      if (numbers) numbers[slot] = whole ? record->number : 0;
      if (whole && record->number > *highest) *highest = record->number;
    }
  }
  free(blocks);
  return read_all;
}

static bool open_disk(void) {
  if (disk >= 0) return true;
  int file = open("/dev/vda", O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
  uint64_t size = 0, highest, torn;
  if (file < 0 || ioctl(file, BLKGETSIZE64, &size) != 0 || size < BLOCK) {
    if (file >= 0) close(file);
    return false;
  }
  disk = file;
  state.present = true;
  state.slots = size / BLOCK < MOST_SLOTS ? size / BLOCK : MOST_SLOTS;
  if (read_slots(NULL, &highest, &torn)) state.last_acknowledged = highest;
  return true;
}

void disk_set(unsigned records_per_second) {
  pthread_mutex_lock(&lock);
  open_disk();
  state.rate = records_per_second > 2000 ? 2000 : records_per_second;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

struct disk_report disk_report(void) {
  pthread_mutex_lock(&lock);
  open_disk();
  struct disk_report report = state;
  pthread_mutex_unlock(&lock);
  return report;
}

struct disk_verdict disk_verify(void) {
  pthread_mutex_lock(&lock);
  struct disk_verdict verdict = {0};
  uint64_t *numbers = NULL;
  if (!open_disk()) {
    snprintf(verdict.problem, sizeof verdict.problem, "no disk");
  } else if (!(numbers = calloc(state.slots, sizeof *numbers)) || !read_slots(numbers, &verdict.last_found, &verdict.torn)) {
    snprintf(verdict.problem, sizeof verdict.problem, "read error: %s", strerror(errno));
  } else {
    uint64_t oldest = verdict.last_found > state.slots ? verdict.last_found - state.slots + 1 : 1;
    for (uint64_t number = oldest; verdict.last_found && number <= verdict.last_found; number++) {
      if (numbers[(number - 1) % state.slots] == number) verdict.records++;
      else verdict.missing++;
    }
    verdict.last_acknowledged = state.last_acknowledged;
    if (verdict.torn || verdict.missing) snprintf(verdict.problem, sizeof verdict.problem, "records torn or missing");
    else if (verdict.last_found < state.last_acknowledged) {
      snprintf(verdict.problem, sizeof verdict.problem, "acknowledged records lost");
    }
    verdict.ok = verdict.problem[0] == 0;
  }
  free(numbers);
  pthread_mutex_unlock(&lock);
  return verdict;
}

static void write_next(struct record *record) {
  uint64_t number = state.last_acknowledged + 1, started_ns = monotonic_ns();
  record->magic = MAGIC;
  record->number = number;
  record->nonce = boot_nonce;
  record->written_us = realtime_us();
  for (size_t index = 0; index < sizeof record->filling; index++) record->filling[index] = (uint8_t)(number + index);
  record->sum = checksum(record);
  ssize_t written = pwrite(disk, record, BLOCK, (off_t)((number - 1) % state.slots * BLOCK));
  if (written != BLOCK) {
    state.errors++;
    return;
  }
  double took_ms = (double)(monotonic_ns() - started_ns) / 1e6;
  if (took_ms > state.longest_write_ms) state.longest_write_ms = took_ms;
  state.last_acknowledged = number;
  state.acknowledged++;
}

static void *write_for_ever(void *unused) {
  (void)unused;
  struct record *record;
  if (posix_memalign((void **)&record, BLOCK, sizeof *record) != 0) return NULL;
  uint64_t next_ns = monotonic_ns();
  for (;;) {
    pthread_mutex_lock(&lock);
    while (state.rate == 0 || disk < 0) pthread_cond_wait(&changed, &lock);
    uint64_t period_ns = 1000000000ull / state.rate;
    write_next(record);
    pthread_mutex_unlock(&lock);
    pace(&next_ns, period_ns);
  }
  return NULL;
}

void disk_start(void) {
  char value[32];
  if (boot_parameter("godwit.disk", value, sizeof value)) disk_set((unsigned)strtoul(value, NULL, 10));
  start_thread(write_for_ever);
}
