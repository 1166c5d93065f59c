/* The smallest DHCP client that a demo guest needs: discover, request, and the four options it can use. */
#include "guest.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5 };
enum { OPTION_MASK = 1, OPTION_ROUTER = 3, OPTION_HOST_NAME = 12, OPTION_ADDRESS = 50, OPTION_LEASE = 51, OPTION_TYPE = 53,
       OPTION_SERVER = 54, OPTION_PARAMETERS = 55, OPTION_END = 255 };

struct message {
  uint8_t op, hardware, hardware_length, hops;
  uint32_t exchange;
  uint16_t seconds, flags;
  uint32_t client, yours, server, relay;
  uint8_t mac[16], server_name[64], file[128];
  uint32_t cookie;
  uint8_t options[312];
} __attribute__((packed));

static const uint8_t *option(const struct message *message, size_t length, uint8_t code, uint8_t *size) {
  size_t end = length - offsetof(struct message, options);
  for (size_t at = 0; at + 1 < end && message->options[at] != OPTION_END;) {
    if (message->options[at] == 0) { at++; continue; }
    *size = message->options[at + 1];
    if (at + 2 + *size > end) return NULL;
    if (message->options[at] == code) return message->options + at + 2;
    at += 2u + *size;
  }
  return NULL;
}

static void text_address(const uint8_t *bytes, char *text) {
  if (bytes) inet_ntop(AF_INET, bytes, text, 16);
  else text[0] = 0;
}

static bool exchange(int udp, struct message *query, uint8_t type, const uint8_t *extra, size_t extra_length, struct message *reply, size_t *reply_length) {
  uint8_t *at = query->options;
  *at++ = OPTION_TYPE; *at++ = 1; *at++ = type;
  memcpy(at, extra, extra_length);
  at += extra_length;
  *at++ = OPTION_PARAMETERS; *at++ = 4; *at++ = OPTION_MASK; *at++ = OPTION_ROUTER; *at++ = OPTION_HOST_NAME; *at++ = OPTION_LEASE;
  *at++ = OPTION_END;
  struct sockaddr_in everyone = { .sin_family = AF_INET, .sin_port = htons(67), .sin_addr.s_addr = INADDR_BROADCAST };
  sendto(udp, query, sizeof *query, 0, (struct sockaddr *)&everyone, sizeof everyone);
  uint64_t deadline_ns = monotonic_ns() + 2000000000ull;
  while (monotonic_ns() < deadline_ns) {
    ssize_t length = recv(udp, reply, sizeof *reply, 0);
    uint8_t size;
    if (length <= (ssize_t)offsetof(struct message, options) || reply->op != 2 || reply->exchange != query->exchange) continue;
    const uint8_t *kind = option(reply, (size_t)length, OPTION_TYPE, &size);
    if (kind && *kind == (type == DISCOVER ? OFFER : ACK)) {
      *reply_length = (size_t)length;
      return true;
    }
  }
  return false;
}

bool dhcp_acquire(const char *device, struct dhcp_lease *lease) {
  memset(lease, 0, sizeof *lease);
  int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1;
  struct timeval patience = { .tv_usec = 500000 };
  setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1);
  setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes);
  setsockopt(udp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(68) };
  struct ifreq card = {0};
  snprintf(card.ifr_name, sizeof card.ifr_name, "%s", device);
  struct message query = { .op = 1, .hardware = 1, .hardware_length = 6, .flags = htons(0x8000), .cookie = htonl(0x63825363) };
  struct message reply;
  size_t length;
  uint8_t size, extra[12];
  bool done = false;
  if (bind(udp, (struct sockaddr *)&here, sizeof here) != 0 || ioctl(udp, SIOCGIFHWADDR, &card) != 0) {
    sleep(1);
    goto out;
  }
  memcpy(query.mac, card.ifr_hwaddr.sa_data, 6);
  if (getrandom(&query.exchange, sizeof query.exchange, GRND_INSECURE) < 0) query.exchange = (uint32_t)monotonic_ns();
  if (!exchange(udp, &query, DISCOVER, extra, 0, &reply, &length)) goto out;
  const uint8_t *server = option(&reply, length, OPTION_SERVER, &size);
  extra[0] = OPTION_ADDRESS; extra[1] = 4;
  memcpy(extra + 2, &reply.yours, 4);
  extra[6] = OPTION_SERVER; extra[7] = 4;
  if (server) memcpy(extra + 8, server, 4);
  memset(query.options, 0, sizeof query.options);
  if (!exchange(udp, &query, REQUEST, extra, server ? 12 : 6, &reply, &length)) goto out;
  text_address((const uint8_t *)&reply.yours, lease->address);
  text_address(option(&reply, length, OPTION_MASK, &size), lease->mask);
  text_address(option(&reply, length, OPTION_ROUTER, &size), lease->router);
  const uint8_t *name = option(&reply, length, OPTION_HOST_NAME, &size);
  if (name && size < sizeof lease->host_name) memcpy(lease->host_name, name, size);
  const uint8_t *seconds = option(&reply, length, OPTION_LEASE, &size);
  lease->seconds = seconds ? (unsigned)seconds[0] << 24 | (unsigned)seconds[1] << 16 | (unsigned)seconds[2] << 8 | seconds[3] : 3600;
  done = true;
out:
  close(udp);
  return done;
}
