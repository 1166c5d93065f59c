/*
 * The demo guest: one static program, PID 1 of its initramfs, that gives the lab something to watch from outside:
 * an echo service, a heartbeat, a console ticker, a memory writer, a disk writer and a control port.
 */
#ifndef GODWIT_GUEST_H
#define GODWIT_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ECHO_PORT 7
#define CONTROL_PORT 9000
#define HEARTBEAT_PORT 9100

/* Random at boot and kept only in RAM: a reboot, or a second copy started from the disk, has another one. */
extern uint64_t boot_nonce;

/* boot.c: the kernel command line and the hardware. */
void boot_mount(void);
void boot_load_modules(void);
/* Copies the value of `key=value` on the kernel command line; false when the key is not there. */
bool boot_parameter(const char *key, char *value, size_t size);

/* network.c: brings eth0 up from `ip=` or DHCP. The host name ends in `hostname`. */
void network_up(void);

/* dhcp.c: one exchange (RFC 2131) on a device without an address. False after about four seconds without an answer. */
struct dhcp_lease { char address[16], mask[16], router[16], host_name[64]; unsigned seconds; };
bool dhcp_acquire(const char *device, struct dhcp_lease *lease);

/* One thread per service; each returns at once. */
void echo_start(void);
void heartbeat_start(void);
void console_start(void);
void memory_start(void);
void disk_start(void);
void control_start(void);
void power_button_start(void);
void agent_start(void);
void vcpus_start(void);

/* heartbeat.c */
struct heartbeat_report { uint64_t counter; unsigned hz; char target[64]; };
/* `target` is "address:port" or NULL to leave it. Returns false when it does not parse. */
bool heartbeat_set(unsigned hz, const char *target);
struct heartbeat_report heartbeat_report(void);

/* memory.c: dirties `rate_mb_s` (10^6 bytes a second, whole 4 KiB pages) over a working set of `set_mib`. */
struct memory_report { unsigned rate_mb_s, set_mib, total_mib, available_mib; double achieved_mb_s; uint64_t pages_written, pages_corrupt; };
bool memory_set(unsigned rate_mb_s, unsigned set_mib);
/* Whether the kernel gives back none of the memory that the host has added; false when it cannot be told. */
bool memory_keep(bool keep);
struct memory_report memory_report(void);

/* disk.c: numbered records, each acknowledged by the device (O_DIRECT | O_DSYNC) before it counts. */
struct disk_report {
  bool present;
  unsigned rate;
  uint64_t last_acknowledged, acknowledged, errors, slots;
  double longest_write_ms;
};
struct disk_verdict { bool ok; uint64_t last_found, records, torn, missing, last_acknowledged; char problem[96]; };
void disk_set(unsigned records_per_second);
struct disk_report disk_report(void);
struct disk_verdict disk_verify(void);

/* config.c: a file of the config drive, read anew from the device. Returns its length, or -1 with `problem` set. */
long config_read(const char *path, unsigned char *content, size_t size, const char **problem);

/* power.c */
void power_off(void);
void power_reboot(void);
void power_panic(void);

/* clock.c */
uint64_t monotonic_ns(void);
uint64_t realtime_us(void);
/* Sleeps until the absolute monotonic time `*next_ns`, then moves it one period on; after a stall it starts anew
 * instead of catching up in a burst, which outside would look like a fault of the network. */
void pace(uint64_t *next_ns, uint64_t period_ns);

void start_thread(void *(*body)(void *));
void start_thread_with(void *(*body)(void *), const void *argument);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
