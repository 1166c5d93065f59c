/* The config drive: whichever disk has an ISO 9660 image of that label. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABEL "config-2"
#define MOUNT_POINT "/config"

static bool has_label(const char *device) {
  char descriptor[72];
  int file = open(device, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length = pread(file, descriptor, sizeof descriptor, 16 * 2048);
  close(file);
  return length == (ssize_t)sizeof descriptor && memcmp(descriptor + 1, "CD001", 5) == 0 &&
         strncmp(descriptor + 40, LABEL " ", sizeof LABEL) == 0;
}

/* Mounted for this one read: the last close of a device drops what the kernel remembers of it. */
long config_read(const char *path, unsigned char *content, size_t size, const char **problem) {
  char device[] = "/dev/vda", file_path[256];
  while (device[7] <= 'z' && !has_label(device)) device[7]++;
  if (device[7] > 'z') {
    *problem = "no config drive";
    return -1;
  }
  mkdir(MOUNT_POINT, 0755);
  if (mount(device, MOUNT_POINT, "iso9660", MS_RDONLY, NULL) != 0) {
    *problem = strerror(errno);
    return -1;
  }
  snprintf(file_path, sizeof file_path, MOUNT_POINT "/%s", path);
  long length = -1;
  int file = open(file_path, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    length = 0;
    for (ssize_t more; (size_t)length < size && (more = read(file, content + length, size - length)) > 0;) length += more;
    close(file);
  } else *problem = strerror(errno);
  umount(MOUNT_POINT);
  return length;
}
