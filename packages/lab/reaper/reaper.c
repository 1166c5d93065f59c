/*
 * reaper COMMAND…: runs the command as its child and takes in every orphan below it (PR_SET_CHILD_SUBREAPER), so that a guest
 * whose agent died is reaped the moment it ends. Ends with the command's own status. Node.js cannot do this itself: it has no
 * prctl, and waits only for children that it started.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count < 2) return 64;
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) perror("reaper: PR_SET_CHILD_SUBREAPER");
  pid_t command = fork();
  if (command < 0) return 71;
  if (command == 0) {
    execvp(arguments[1], arguments + 1);
    perror("reaper: exec");
    _exit(127);
  }
  /* The listener was for the command: kept here, its port would stay taken after the command ended. */
  for (int inherited = 3; inherited < 64; inherited++) close(inherited);
  for (;;) {
    int status;
    pid_t ended = waitpid(-1, &status, 0);
    if (ended == command) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (ended < 0 && errno != EINTR) return 71;
  }
}
