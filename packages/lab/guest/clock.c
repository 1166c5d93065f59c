#include "guest.h"

#include <time.h>

uint64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t realtime_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000ull + (uint64_t)now.tv_nsec / 1000;
}

void pace(uint64_t *next_ns, uint64_t period_ns) {
  uint64_t now = monotonic_ns();
  if (*next_ns + 20 * period_ns + 20000000ull < now) *next_ns = now;
  struct timespec until = { .tv_sec = (time_t)(*next_ns / 1000000000ull), .tv_nsec = (long)(*next_ns % 1000000000ull) };
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
  *next_ns += period_ns;
}
