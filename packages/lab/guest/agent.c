/*
 * What a QEMU guest agent says of the clock, over the virtio port of that name: guest-sync-delimited, guest-ping, guest-get-time and guest-set-time, as QEMU's qga/qapi-schema.json describes them.
 * A guest without the port has none of this. Questions come one a line; an 0xff before one throws away what came before it, and an 0xff goes before the answer of a sync.
 */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PORT_NAME "org.qemu.guest_agent.0"

static bool find_port(char *path, size_t size) {
  DIR *ports = opendir("/sys/class/virtio-ports");
  if (!ports) return false;
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(ports)) != NULL;) {
    char file[300], name[64];
    snprintf(file, sizeof file, "/sys/class/virtio-ports/%s/name", entry->d_name);
    FILE *input = entry->d_name[0] == '.' ? NULL : fopen(file, "r");
    if (!input) continue;
    if (fgets(name, sizeof name, input)) {
      name[strcspn(name, "\n")] = 0;
      found = strcmp(name, PORT_NAME) == 0;
      if (found) snprintf(path, size, "/dev/%.200s", entry->d_name);
    }
    fclose(input);
  }
  closedir(ports);
  return found;
}

static void set_clock(int port, const char *time_ns) {
  long long ns = atoll(time_ns);
  struct timespec to = { .tv_sec = (time_t)(ns / 1000000000ll), .tv_nsec = (long)(ns % 1000000000ll) };
  if (clock_settime(CLOCK_REALTIME, &to) == 0) dprintf(port, "{\"return\": {}}\n");
  else dprintf(port, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Failed to set time to guest\"}}\n");
}

static void answer(int port, const char *line) {
  const char *id = strstr(line, "\"id\":"), *to = strstr(line, "\"time\":");
  if (strstr(line, "\"guest-sync-delimited\"") && id) dprintf(port, "\xff{\"return\": %lld}\n", atoll(id + 5));
  else if (strstr(line, "\"guest-ping\"")) dprintf(port, "{\"return\": {}}\n");
  else if (strstr(line, "\"guest-get-time\"")) dprintf(port, "{\"return\": %llu}\n", (unsigned long long)realtime_us() * 1000);
  else if (strstr(line, "\"guest-set-time\"") && to) set_clock(port, to + 7);
  else dprintf(port, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command has not been found\"}}\n");
}

static void *serve(void *unused) {
  (void)unused;
  char path[256], line[1024];
  size_t length = 0;
  /* The ports of a device come some time after it; a guest without the device is not looked at for ever. */
  int tries = 20;
  while (!find_port(path, sizeof path)) {
    if (--tries == 0) return NULL;
    usleep(250000);
  }
  int port = open(path, O_RDWR | O_CLOEXEC);
  if (port < 0) {
    log_line("godwit cannot open %s", path);
    return NULL;
  }
  for (;;) {
    unsigned char byte;
    ssize_t got = read(port, &byte, 1);
    /* Nobody is connected at the host's end. */
    if (got <= 0) usleep(50000);
    else if (byte == 0xff) length = 0;
    else if (byte == '\n') {
      line[length] = 0;
      length = 0;
      answer(port, line);
    } else if (length < sizeof line - 1) line[length++] = (char)byte;
  }
}

void agent_start(void) { start_thread(serve); }
