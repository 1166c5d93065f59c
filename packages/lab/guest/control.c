/*
 * Control port: one command a line, one JSON object a line back. A connection stays open for any number of commands.
 *   status | heartbeat <hz> [address:port] | memory <MB/s> <MiB> | disk <records/s> | verify | config <path> | poweroff | reboot | panic
 */
#include "guest.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Which clock the kernel trusts: one that it gave up after a move (tsc → hpet) makes every look at the time slow. */
static void read_clocksource(char *name, size_t size) {
  FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
  if (!file || !fgets(name, (int)size, file)) snprintf(name, size, "?");
  if (file) fclose(file);
  name[strcspn(name, "\n")] = 0;
}

static void answer_status(FILE *peer) {
  char clocksource[32];
  read_clocksource(clocksource, sizeof clocksource);
  struct heartbeat_report heartbeat = heartbeat_report();
  struct memory_report memory = memory_report();
  struct disk_report disk = disk_report();
  char name[64] = "?";
  gethostname(name, sizeof name);
  fprintf(peer,
          "{\"ok\":true,\"hostname\":\"%s\",\"nonce\":\"%016llx\",\"vcpus\":%ld,\"uptimeMs\":%llu,\"clockUs\":%llu,\"clocksource\":\"%s\","
          "\"heartbeat\":{\"hz\":%u,\"counter\":%llu,\"target\":\"%s\"},"
          "\"memory\":{\"rateMBs\":%u,\"setMib\":%u,\"totalMib\":%u,\"availableMib\":%u,\"achievedMBs\":%.1f,\"pagesWritten\":%llu,\"pagesCorrupt\":%llu},"
          "\"disk\":{\"present\":%s,\"rate\":%u,\"lastAcknowledged\":%llu,\"acknowledged\":%llu,\"errors\":%llu,"
          "\"slots\":%llu,\"longestWriteMs\":%.1f}}\n",
          name, (unsigned long long)boot_nonce, sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)(monotonic_ns() / 1000000),
          (unsigned long long)realtime_us(), clocksource, heartbeat.hz, (unsigned long long)heartbeat.counter, heartbeat.target,
          memory.rate_mb_s, memory.set_mib, memory.total_mib, memory.available_mib, memory.achieved_mb_s, (unsigned long long)memory.pages_written,
          (unsigned long long)memory.pages_corrupt, disk.present ? "true" : "false", disk.rate,
          (unsigned long long)disk.last_acknowledged, (unsigned long long)disk.acknowledged,
          (unsigned long long)disk.errors, (unsigned long long)disk.slots, disk.longest_write_ms);
}

static void answer_verify(FILE *peer) {
  struct disk_verdict verdict = disk_verify();
  fprintf(peer,
          "{\"ok\":%s,\"records\":%llu,\"lastFound\":%llu,\"lastAcknowledged\":%llu,\"torn\":%llu,\"missing\":%llu,"
          "\"problem\":\"%s\"}\n",
          verdict.ok ? "true" : "false", (unsigned long long)verdict.records, (unsigned long long)verdict.last_found,
          (unsigned long long)verdict.last_acknowledged, (unsigned long long)verdict.torn,
          (unsigned long long)verdict.missing, verdict.problem);
}

/* In hexadecimal: it may be anything. */
static void answer_config(FILE *peer, const char *path) {
  static unsigned char content[64 * 1024];
  const char *problem = "";
  long length = config_read(path, content, sizeof content, &problem);
  if (length < 0) {
    fprintf(peer, "{\"ok\":false,\"problem\":\"%s\"}\n", problem);
    return;
  }
  fprintf(peer, "{\"ok\":true,\"hex\":\"");
  for (long at = 0; at < length; at++) fprintf(peer, "%02x", content[at]);
  fprintf(peer, "\"}\n");
}

static void refuse(FILE *peer, const char *why) { fprintf(peer, "{\"ok\":false,\"problem\":\"%s\"}\n", why); }

static void answer(FILE *peer, const char *line) {
  unsigned first, second;
  char word[64], rest;
  if (strcmp(line, "status") == 0) answer_status(peer);
  else if (strcmp(line, "verify") == 0) answer_verify(peer);
  else if (strncmp(line, "config ", 7) == 0) answer_config(peer, line + 7);
  else if (sscanf(line, "heartbeat %u %63s %c", &first, word, &rest) == 2) {
    if (heartbeat_set(first, word)) answer_status(peer);
    else refuse(peer, "bad heartbeat target");
  } else if (sscanf(line, "heartbeat %u %c", &first, &rest) == 1) {
    heartbeat_set(first, NULL);
    answer_status(peer);
  } else if (sscanf(line, "memory %u %u %c", &first, &second, &rest) == 2) {
    if (memory_set(first, second)) answer_status(peer);
    else refuse(peer, "the working set does not fit in memory");
  } else if (sscanf(line, "keep-memory %u %c", &first, &rest) == 1) {
    if (memory_keep(first != 0)) answer_status(peer);
    else refuse(peer, "this kernel gives back no memory");
  } else if (sscanf(line, "disk %u %c", &first, &rest) == 1) {
    disk_set(first);
    answer_status(peer);
  } else if (strcmp(line, "poweroff") == 0 || strcmp(line, "reboot") == 0 || strcmp(line, "panic") == 0) {
    /* Answer first: afterwards there is nobody left to answer. */
    fprintf(peer, "{\"ok\":true}\n");
    fflush(peer);
    usleep(20000);
    if (line[0] == 'r') power_reboot();
    else if (line[1] == 'o') power_off();
    else power_panic();
  } else refuse(peer, "unknown command");
  fflush(peer);
}

static void *serve(void *argument) {
  int connection = (int)(intptr_t)argument;
  FILE *input = fdopen(connection, "r"), *output = fdopen(dup(connection), "w");
  char line[256];
  while (input && output && fgets(line, sizeof line, input)) {
    line[strcspn(line, "\r\n")] = 0;
    answer(output, line);
  }
  if (input) fclose(input);
  if (output) fclose(output);
  return NULL;
}

static void *listen_for_ever(void *unused) {
  (void)unused;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(CONTROL_PORT) };
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
    log_line("godwit cannot listen for control");
    return NULL;
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    pthread_t thread;
    if (connection >= 0 && pthread_create(&thread, &attributes, serve, (void *)(intptr_t)connection) != 0) close(connection);
  }
}

void control_start(void) { start_thread(listen_for_ever); }
