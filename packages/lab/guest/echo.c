/* TCP echo on port 7, one thread a connection. */
#include "guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *argument) {
  int connection = (int)(intptr_t)argument;
  char buffer[4096];
  for (;;) {
    ssize_t length = read(connection, buffer, sizeof buffer);
    if (length <= 0) break;
    for (ssize_t sent = 0; sent < length;) {
      ssize_t written = write(connection, buffer + sent, (size_t)(length - sent));
      if (written <= 0) goto closed;
      sent += written;
    }
  }
closed:
  close(connection);
  return NULL;
}

static void *listen_for_ever(void *unused) {
  (void)unused;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(ECHO_PORT) };
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
    log_line("godwit cannot listen for echo");
    return NULL;
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 32 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)connection) != 0) close(connection);
  }
}

void echo_start(void) { start_thread(listen_for_ever); }
