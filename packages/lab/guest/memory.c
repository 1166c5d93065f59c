/*
 * Memory writer. Every page it writes carries (page, generation) in each of its words, and the generation is also kept
 * apart, so each page is checked before it is written again: a page lost or torn on the way to another host is counted.
 */
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / sizeof(uint64_t))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct memory_report state;
static uint64_t *area;
static uint32_t *generations;
static size_t pages, cursor;

static uint64_t word_for(size_t page, uint32_t generation) {
  return ((uint64_t)generation << 32 | (uint32_t)page) * 0x9E3779B97F4A7C15ull;
}

static bool page_holds(const uint64_t *page, uint64_t word) {
  uint64_t difference = 0;
  for (size_t index = 0; index < WORDS; index++) difference |= page[index] ^ word;
  return difference == 0;
}

static bool resize(unsigned set_mib) {
  size_t wanted = (size_t)set_mib * (1 << 20) / PAGE;
  if (wanted == pages) return true;
  if (area) {
    munmap(area, pages * PAGE);
    free(generations);
    area = NULL;
    generations = NULL;
    pages = 0;
  }
  cursor = 0;
  if (wanted == 0) return true;
  void *mapped = mmap(NULL, wanted * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint32_t *counters = calloc(wanted, sizeof *counters);
  if (mapped == MAP_FAILED || !counters) {
    if (mapped != MAP_FAILED) munmap(mapped, wanted * PAGE);
    free(counters);
    return false;
  }
  area = mapped;
  generations = counters;
  pages = wanted;
  return true;
}

static uint64_t meminfo_kib(const char *key) {
  FILE *file = fopen("/proc/meminfo", "r");
  char line[128];
  unsigned long long kib = 0;
  size_t length = strlen(key);
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, key, length) == 0 && line[length] == ':') sscanf(line + length + 1, "%llu", &kib);
  if (file) fclose(file);
  return kib;
}

/* What is left below 6 MiB ends in the out-of-memory killer, which would take PID 1 and so the machine. */
static bool fits(unsigned set_mib) {
  return (uint64_t)set_mib * 1024 + 6 * 1024 <= meminfo_kib("MemAvailable") + pages * (PAGE / 1024);
}

bool memory_set(unsigned rate_mb_s, unsigned set_mib) {
  pthread_mutex_lock(&lock);
  bool done = fits(set_mib) && resize(set_mib);
  if (done) {
    state.rate_mb_s = set_mib ? rate_mb_s : 0;
    state.set_mib = set_mib;
    state.achieved_mb_s = 0;
    pthread_cond_signal(&changed);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

bool memory_keep(bool keep) {
  int file = open("/sys/module/virtio_mem/parameters/unplug_online", O_WRONLY | O_CLOEXEC);
  bool done = file >= 0 && write(file, keep ? "0" : "1", 1) == 1;
  if (file >= 0) close(file);
  return done;
}

struct memory_report memory_report(void) {
  pthread_mutex_lock(&lock);
  struct memory_report report = state;
  report.total_mib = (unsigned)(meminfo_kib("MemTotal") / 1024);
  report.available_mib = (unsigned)(meminfo_kib("MemAvailable") / 1024);
  pthread_mutex_unlock(&lock);
  return report;
}

static void write_pages(size_t count) {
  for (size_t index = 0; index < count; index++) {
    uint64_t *page = area + cursor * WORDS;
    uint32_t generation = generations[cursor];
    if (generation && !page_holds(page, word_for(cursor, generation))) state.pages_corrupt++;
    uint64_t word = word_for(cursor, ++generation);
    for (size_t offset = 0; offset < WORDS; offset++) page[offset] = word;
    generations[cursor] = generation;
    cursor = cursor + 1 == pages ? 0 : cursor + 1;
  }
  state.pages_written += count;
}

/* Slices of 5 ms: short enough to look continuous to a migration round, long enough to cost little in between. */
static void *write_for_ever(void *unused) {
  (void)unused;
  uint64_t next_ns = monotonic_ns(), window_start_ns = next_ns, window_pages = 0;
  double owed = 0;
  uint64_t last_ns = next_ns;
  for (;;) {
    pthread_mutex_lock(&lock);
    if (state.rate_mb_s == 0 || pages == 0) {
      state.achieved_mb_s = 0;
      while (state.rate_mb_s == 0 || pages == 0) pthread_cond_wait(&changed, &lock);
      owed = 0;
      last_ns = window_start_ns = monotonic_ns();
      window_pages = 0;
    }
    uint64_t now_ns = monotonic_ns();
    owed += (double)(now_ns - last_ns) * state.rate_mb_s / 1000.0 / PAGE;
    last_ns = now_ns;
    double most = (double)state.rate_mb_s * 1e6 / PAGE / 50;
    if (owed > most) owed = most;
    size_t due = (size_t)owed;
    write_pages(due);
    owed -= (double)due;
    window_pages += due;
    if (now_ns - window_start_ns >= 500000000ull) {
      state.achieved_mb_s = (double)window_pages * PAGE * 1000.0 / (double)(now_ns - window_start_ns);
      window_start_ns = now_ns;
      window_pages = 0;
    }
    pthread_mutex_unlock(&lock);
    pace(&next_ns, 5000000ull);
  }
  return NULL;
}

void memory_start(void) {
  char value[64];
  unsigned rate, set_mib;
  if (boot_parameter("godwit.memory", value, sizeof value) && sscanf(value, "%u,%u", &rate, &set_mib) == 2) {
    if (!memory_set(rate, set_mib)) log_line("godwit has no room for godwit.memory=%s", value);
  }
  start_thread(write_for_ever);
}
