/*
 * eth0, from the kernel's standard parameter ip=<address>:<server>:<gateway>:<mask>:<host name>:<device>:<autoconf>
 * (Documentation/admin-guide/nfs/nfsroot.rst). Debian's cloud kernel has no CONFIG_IP_PNP, so it is read here.
 * Without it: DHCP. Cards that come while it runs (eth1 … eth7) always ask by DHCP.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool set_address(int control, const char *device, unsigned long request, const char *text) {
  struct ifreq request_data = {0};
  snprintf(request_data.ifr_name, sizeof request_data.ifr_name, "%s", device);
  struct sockaddr_in *address = (struct sockaddr_in *)&request_data.ifr_addr;
  address->sin_family = AF_INET;
  if (inet_pton(AF_INET, text, &address->sin_addr) != 1) return false;
  return ioctl(control, request, &request_data) == 0;
}

static bool link_up(int control, const char *device) {
  struct ifreq request_data = {0};
  snprintf(request_data.ifr_name, sizeof request_data.ifr_name, "%s", device);
  if (ioctl(control, SIOCGIFFLAGS, &request_data) != 0) return false;
  request_data.ifr_flags |= IFF_UP;
  return ioctl(control, SIOCSIFFLAGS, &request_data) == 0;
}

static void default_route(int control, const char *gateway) {
  struct rtentry route = {0};
  ((struct sockaddr_in *)&route.rt_dst)->sin_family = AF_INET;
  ((struct sockaddr_in *)&route.rt_genmask)->sin_family = AF_INET;
  struct sockaddr_in *via = (struct sockaddr_in *)&route.rt_gateway;
  via->sin_family = AF_INET;
  if (inet_pton(AF_INET, gateway, &via->sin_addr) != 1) return;
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  if (ioctl(control, SIOCADDRT, &route) != 0 && errno != EEXIST) log_line("godwit route via %s: %s", gateway, strerror(errno));
}

static void name_from_mac(int control) {
  struct ifreq request_data = {0};
  strcpy(request_data.ifr_name, "eth0");
  char name[32] = "godwit";
  if (ioctl(control, SIOCGIFHWADDR, &request_data) == 0) {
    const unsigned char *mac = (const unsigned char *)request_data.ifr_hwaddr.sa_data;
    snprintf(name, sizeof name, "godwit-%02x%02x%02x", mac[3], mac[4], mac[5]);
  }
  sethostname(name, strlen(name));
}

static bool has_card(const char *device) {
  char path[64];
  snprintf(path, sizeof path, "/sys/class/net/%s", device);
  return access(path, F_OK) == 0;
}

/* In the background, while the card is there: a guest whose network comes late still gets its address. */
static void *keep_lease(void *name) {
  const char *device = name;
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (;;) {
    struct dhcp_lease lease;
    if (!dhcp_acquire(device, &lease)) {
      if (!has_card(device)) break;
      continue;
    }
    set_address(control, device, SIOCSIFADDR, lease.address);
    if (lease.mask[0]) set_address(control, device, SIOCSIFNETMASK, lease.mask);
    if (strcmp(device, "eth0") == 0) {
      if (lease.router[0]) default_route(control, lease.router);
      if (lease.host_name[0]) sethostname(lease.host_name, strlen(lease.host_name));
    }
    log_line("godwit address %s on %s", lease.address, device);
    unsigned renewal = lease.seconds > 20 ? lease.seconds / 2 : 10;
    for (unsigned waited = 0; waited < renewal && has_card(device); waited++) sleep(1);
    if (!has_card(device)) break;
  }
  log_line("godwit has no %s any more", device);
  close(control);
  return NULL;
}

/* A card gets the lowest free number: one that was taken out and comes again has the same. */
static void *look_for_cards(void *unused) {
  (void)unused;
  static char devices[][5] = {"eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "eth7"};
  enum { COUNT = sizeof devices / sizeof devices[0] };
  bool known[COUNT] = {false};
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (;; usleep(200000)) {
    for (int at = 0; at < COUNT; at++) {
      bool is_there = has_card(devices[at]);
      if (is_there && !known[at] && link_up(control, devices[at])) start_thread_with(keep_lease, devices[at]);
      known[at] = is_there;
    }
  }
  return NULL;
}

void network_up(void) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  link_up(control, "lo");
  char parameter[256], host_name[64];
  bool named = boot_parameter("godwit.hostname", host_name, sizeof host_name) && host_name[0];
  if (named) sethostname(host_name, strlen(host_name));
  else name_from_mac(control);
  if (!link_up(control, "eth0")) {
    log_line("godwit has no eth0");
  } else if (boot_parameter("ip", parameter, sizeof parameter) && strchr(parameter, ':')) {
    char *rest = parameter;
    const char *address = strsep(&rest, ":");
    strsep(&rest, ":");
    const char *gateway = strsep(&rest, ":"), *mask = strsep(&rest, ":"), *name = strsep(&rest, ":");
    if (!set_address(control, "eth0", SIOCSIFADDR, address)) log_line("godwit bad address in ip=%s", address);
    if (mask && mask[0]) set_address(control, "eth0", SIOCSIFNETMASK, mask);
    if (gateway && gateway[0]) default_route(control, gateway);
    if (!named && name && name[0]) sethostname(name, strlen(name));
  } else {
    start_thread_with(keep_lease, "eth0");
  }
  start_thread(look_for_cards);
  close(control);
}
