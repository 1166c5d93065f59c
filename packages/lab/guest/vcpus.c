/*
 * A vCPU that the host plugs in shows up offline: whoever runs the system brings it online (elsewhere a udev rule). The kernel tells of it on the uevent socket; nothing is polled.
 */
#include "guest.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDED "add@/devices/system/cpu/cpu"

static void bring_online(const char *number) {
  char path[96];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%.8s/online", number);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0 || write(file, "1", 1) != 1) log_line("godwit cannot bring vCPU %.8s online", number);
  if (file >= 0) close(file);
}

static void *listen_for_ever(void *argument) {
  int events = (int)(intptr_t)argument;
  char event[4096];
  for (;;) {
    ssize_t length = recv(events, event, sizeof event - 1, 0);
    if (length <= 0) continue;
    event[length] = 0;
    if (strncmp(event, ADDED, sizeof ADDED - 1) == 0) bring_online(event + sizeof ADDED - 1);
  }
}

void vcpus_start(void) {
  int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
  struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
  if (events < 0 || bind(events, (struct sockaddr *)&address, sizeof address) != 0) log_line("godwit cannot hear of vCPUs");
  else start_thread_with(listen_for_ever, (void *)(intptr_t)events);
}
