/* Mounts, kernel modules, kernel command line. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void boot_mount(void) {
  mkdir("/proc", 0555);
  mkdir("/sys", 0555);
  mkdir("/dev", 0755);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sysfs", "/sys", "sysfs", 0, NULL);
  mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
  int console = open("/dev/console", O_RDWR | O_NOCTTY);
  if (console >= 0) {
    dup2(console, STDIN_FILENO);
    dup2(console, STDOUT_FILENO);
    dup2(console, STDERR_FILENO);
    if (console > STDERR_FILENO) close(console);
  }
  /* Every sysrq function: `panic` on the control port uses it. */
  int sysrq = open("/proc/sys/kernel/sysrq", O_WRONLY);
  if (sysrq >= 0) {
    if (write(sysrq, "1", 1) != 1) log_line("godwit cannot enable sysrq");
    close(sysrq);
  }
  /* Memory that the host adds is put to use by the kernel itself, and for nothing that could not be moved away again. */
  int online = open("/sys/devices/system/memory/auto_online_blocks", O_WRONLY | O_CLOEXEC);
  if (online >= 0) {
    if (write(online, "online_movable", 14) != 14) log_line("godwit cannot have memory come online by itself");
    close(online);
  }
}

/* /modules/order names the files in load order, one a line; it is written by the image build. */
void boot_load_modules(void) {
  FILE *order = fopen("/modules/order", "r");
  if (!order) return;
  char name[128], path[160];
  while (fgets(name, sizeof name, order)) {
    name[strcspn(name, "\n")] = 0;
    if (!name[0]) continue;
    snprintf(path, sizeof path, "/modules/%s", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || (syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST)) {
      log_line("godwit module %s: %s", name, strerror(errno));
    }
    if (file >= 0) close(file);
  }
  fclose(order);
}

bool boot_parameter(const char *key, char *value, size_t size) {
  char line[2048];
  int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = read(file, line, sizeof line - 1);
  close(file);
  if (length <= 0) return false;
  line[length] = 0;
  char *rest = line;
  size_t key_length = strlen(key);
  for (char *word; (word = strsep(&rest, " \n")) != NULL;) {
    if (strncmp(word, key, key_length) == 0 && word[key_length] == '=') {
      snprintf(value, size, "%s", word + key_length + 1);
      return true;
    }
  }
  return false;
}
