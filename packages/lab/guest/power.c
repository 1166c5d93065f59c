/* Power: off, reboot, panic; and the ACPI power button, which is how a host asks a guest to shut down. */
#include "guest.h"

#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

void power_off(void) {
  char name[64] = "?";
  gethostname(name, sizeof name);
  log_line("godwit %s powering off", name);
  disk_set(0);
  sync();
  reboot(LINUX_REBOOT_CMD_POWER_OFF);
}

void power_reboot(void) {
  disk_set(0);
  sync();
  reboot(LINUX_REBOOT_CMD_RESTART);
}

void power_panic(void) {
  int trigger = open("/proc/sysrq-trigger", O_WRONLY);
  if (trigger >= 0 && write(trigger, "c", 1) == 1) pause();
}

/* The kernel's generic netlink family "acpi_event" (drivers/acpi/event.c) has one multicast group. Reading it needs no
 * input layer. The family's id and group are dynamic, so ask the controller for them first. */
static int acpi_group(int netlink) {
  struct { struct nlmsghdr header; struct genlmsghdr generic; struct nlattr attribute; char name[12]; } request = {0};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = GENL_ID_CTRL;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.generic.cmd = CTRL_CMD_GETFAMILY;
  request.generic.version = 1;
  request.attribute.nla_type = CTRL_ATTR_FAMILY_NAME;
  request.attribute.nla_len = (unsigned short)(NLA_HDRLEN + sizeof "acpi_event");
  strcpy(request.name, "acpi_event");
  if (send(netlink, &request, sizeof request, 0) < 0) return -1;
  char buffer[4096] __attribute__((aligned(4)));
  ssize_t length = recv(netlink, buffer, sizeof buffer, 0);
  const struct nlmsghdr *reply = (const struct nlmsghdr *)buffer;
  if (length < (ssize_t)(NLMSG_HDRLEN + GENL_HDRLEN) || reply->nlmsg_type == NLMSG_ERROR) return -1;
  const char *end = buffer + length;
  for (const char *at = buffer + NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN <= end;) {
    const struct nlattr *attribute = (const struct nlattr *)at;
    if (attribute->nla_len < NLA_HDRLEN) return -1;
    if ((attribute->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GROUPS) {
      const char *inner = at + 2 * NLA_HDRLEN; /* into the first group of the list */
      for (; inner + NLA_HDRLEN <= at + attribute->nla_len;) {
        const struct nlattr *field = (const struct nlattr *)inner;
        if (field->nla_len < NLA_HDRLEN) return -1;
        if ((field->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GRP_ID) return *(const int *)(inner + NLA_HDRLEN);
        inner += NLA_ALIGN(field->nla_len);
      }
    }
    at += NLA_ALIGN(attribute->nla_len);
  }
  return -1;
}

static bool names_power_button(const char *message, ssize_t length) {
  static const char wanted[] = "button/power";
  for (ssize_t at = 0; at + (ssize_t)sizeof wanted - 1 <= length; at++) {
    if (memcmp(message + at, wanted, sizeof wanted - 1) == 0) return true;
  }
  return false;
}

static void *watch_button(void *unused) {
  (void)unused;
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  struct sockaddr_nl address = { .nl_family = AF_NETLINK };
  int group = -1;
  if (netlink >= 0 && bind(netlink, (struct sockaddr *)&address, sizeof address) == 0) group = acpi_group(netlink);
  if (group < 0 || setsockopt(netlink, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    log_line("godwit does not hear the power button");
    return NULL;
  }
  char message[1024];
  for (;;) {
    ssize_t length = recv(netlink, message, sizeof message, 0);
    if (length > 0 && names_power_button(message, length)) power_off();
  }
}

void power_button_start(void) { start_thread(watch_button); }
