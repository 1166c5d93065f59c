/* PID 1: hardware, network, services, then reap for ever. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t boot_nonce;

/* A guest with a display shows on it what it says on its serial console. */
static void show_line(const char *line) {
  static int screen = -2;
  if (screen == -2) screen = open("/dev/tty0", O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (screen >= 0) dprintf(screen, "%s\r\n", line);
}

void log_line(const char *format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  dprintf(STDOUT_FILENO, "%s\r\n", line);
  show_line(line);
}

void start_thread(void *(*body)(void *)) { start_thread_with(body, NULL); }

void start_thread_with(void *(*body)(void *), const void *argument) {
  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_create(&thread, &attributes, body, (void *)argument) != 0) log_line("godwit cannot start a thread");
}

int main(void) {
  boot_mount();
  signal(SIGPIPE, SIG_IGN);
  boot_load_modules();
  /* A fresh virtual machine may take seconds to credit its entropy pool; the nonce must not wait for that,
   * so take what the CPU seeded and mix in time: it has to differ between boots, not resist an attacker. */
  if (getrandom(&boot_nonce, sizeof boot_nonce, GRND_INSECURE) != sizeof boot_nonce) boot_nonce = 0;
  boot_nonce ^= realtime_us() * 0x9E3779B97F4A7C15ull;
  memory_start();
  disk_start();
  power_button_start();
  network_up();
  echo_start();
  control_start();
  heartbeat_start();
  console_start();
  agent_start();
  vcpus_start();
  char name[64] = "?";
  gethostname(name, sizeof name);
  log_line("godwit %s ready nonce %016llx", name, (unsigned long long)boot_nonce);
  for (;;) {
    if (wait(NULL) < 0 && errno == ECHILD) pause();
  }
}
