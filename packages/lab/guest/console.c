/* A line a second on the serial console, so that a console log shows whether a guest went on. */
#include "guest.h"

#include <time.h>
#include <unistd.h>

static void *tick(void *unused) {
  (void)unused;
  uint64_t next_ns = monotonic_ns();
  for (unsigned long long number = 1;; number++) {
    pace(&next_ns, 1000000000ull);
    char name[64] = "?", text[32];
    gethostname(name, sizeof name);
    time_t now = time(NULL);
    struct tm parts;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    log_line("godwit %s tick %llu %s", name, number, text);
  }
  return NULL;
}

void console_start(void) { start_thread(tick); }
