/*
 * UDP heartbeat: "godwit1 <nonce, 16 hex digits> <counter> <guest monotonic microseconds>".
 * The counter lives in RAM and grows by one per datagram, so one that goes back is a guest that was rolled back, and one
 * that is sent twice is a guest that runs twice.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct sockaddr_in target;
static char target_text[64];
static unsigned hz;
static uint64_t counter;

static bool parse_target(const char *text, struct sockaddr_in *parsed) {
  char address[64];
  snprintf(address, sizeof address, "%s", text);
  char *colon = strchr(address, ':');
  long port = HEARTBEAT_PORT;
  if (colon) {
    *colon = 0;
    port = strtol(colon + 1, NULL, 10);
  }
  *parsed = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
  return port > 0 && port < 65536 && inet_pton(AF_INET, address, &parsed->sin_addr) == 1;
}

bool heartbeat_set(unsigned new_hz, const char *new_target) {
  struct sockaddr_in parsed;
  if (new_target && !parse_target(new_target, &parsed)) return false;
  pthread_mutex_lock(&lock);
  if (new_target) {
    target = parsed;
    snprintf(target_text, sizeof target_text, "%s", new_target);
  }
  hz = new_hz > 5000 ? 5000 : new_hz;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
  return true;
}

struct heartbeat_report heartbeat_report(void) {
  pthread_mutex_lock(&lock);
  struct heartbeat_report report = { .counter = __atomic_load_n(&counter, __ATOMIC_RELAXED), .hz = hz };
  memcpy(report.target, target_text, sizeof report.target);
  pthread_mutex_unlock(&lock);
  return report;
}

static void *beat(void *unused) {
  (void)unused;
  int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  uint64_t next_ns = monotonic_ns();
  for (;;) {
    pthread_mutex_lock(&lock);
    while (hz == 0 || target.sin_port == 0) pthread_cond_wait(&changed, &lock);
    uint64_t period_ns = 1000000000ull / hz;
    struct sockaddr_in to = target;
    pthread_mutex_unlock(&lock);
    pace(&next_ns, period_ns);
    char text[96];
    uint64_t number = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
    int length = snprintf(text, sizeof text, "godwit1 %016llx %llu %llu\n", (unsigned long long)boot_nonce,
                          (unsigned long long)number, (unsigned long long)(monotonic_ns() / 1000));
    sendto(sender, text, (size_t)length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
  }
  return NULL;
}

void heartbeat_start(void) {
  char value[64], rate[16];
  unsigned wanted = boot_parameter("godwit.heartbeat_hz", rate, sizeof rate) ? (unsigned)strtoul(rate, NULL, 10) : 10;
  if (boot_parameter("godwit.heartbeat", value, sizeof value) && !heartbeat_set(wanted, value)) {
    log_line("godwit bad address in godwit.heartbeat=%s", value);
  }
  start_thread(beat);
}
