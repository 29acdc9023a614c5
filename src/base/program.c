/* A child process between two pipes and a clock. Between fork and exec only async-signal-safe calls are made: the
 * parent may hold libtorch's threads. */
#include "base/program.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { KEPT_ERRORS = 4096, PIECE = 1 << 16, STEP_MS = 20 };

/* Standard output, standard error, and what failed before the program began (an errno). */
enum { OUTPUT, ERRORS, START, PIPES };

typedef struct {
  const al_program *program;
  pid_t pid;
  int ends[PIPES]; /* what this process reads; -1: at its end */
  al_buffer output;
  char errors[KEPT_ERRORS]; /* the last of them */
  size_t error_size;
  bool too_much;
} running;

static void close_files_from(int first) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
  if (close_range((unsigned)first, ~0U, 0) == 0) return;
#endif
  long most = sysconf(_SC_OPEN_MAX);
  for (int file = first; file < (most > 0 && most < 65536 ? (int)most : 65536); file++) close(file);
}

static void report_errno(int file) {
  int error = errno;
  ssize_t written = write(file, &error, sizeof error);
  _exit(written == (ssize_t)sizeof error ? 127 : 126);
}

/* In the child. `writes`: the other ends of the pipes. START ends up as file 3, closed by exec. */
static void become_program(const al_program *program, const int *writes, int nothing, pid_t parent) {
  const struct rlimit no_core = {0, 0};
  setpgid(0, 0);
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126); /* it ended before that took hold */
#else
  (void)parent;
#endif
  setrlimit(RLIMIT_CORE, &no_core);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  if (dup2(nothing, 0) < 0 || dup2(writes[OUTPUT], 1) < 0 || dup2(writes[ERRORS], 2) < 0 ||
      dup2(writes[START], 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) != 0)
    report_errno(writes[START]);
  close_files_from(4);
  if (chdir(program->folder) != 0) report_errno(3);
  execvpe(program->words[0], (char *const *)(uintptr_t)program->words, (char *const *)(uintptr_t)program->environment);
  report_errno(3);
}

/* A pipe whose ends are above 3, so that the child's dup2 cannot step on one. */
static al_status high_pipe(int ends[2]) {
  int low[2];
  if (pipe2(low, O_CLOEXEC) != 0) return al_fail_errno("cannot make a pipe");
  for (size_t i = 0; i < 2; i++) ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 10);
  close(low[0]);
  close(low[1]);
  return ends[0] >= 0 && ends[1] >= 0 ? AL_OK : al_fail_errno("cannot make a pipe");
}

static al_status start(running *r) {
  al_status status = AL_OK;
  int writes[PIPES] = {-1, -1, -1}, nothing = -1;
  pid_t parent = getpid();
  for (size_t i = 0; i < PIPES; i++) {
    int ends[2] = {-1, -1};
    status = high_pipe(ends);
    r->ends[i] = ends[0];
    writes[i] = ends[1];
    if (status != AL_OK) goto done;
  }
  nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) {
    status = al_fail_errno("cannot open /dev/null");
    goto done;
  }
  r->pid = fork();
  if (r->pid < 0) status = al_fail_errno("cannot start a process");
  if (r->pid == 0) become_program(r->program, writes, nothing, parent);
  if (r->pid > 0) setpgid(r->pid, r->pid); /* both set it: whoever is first */
  for (size_t i = 0; i < PIPES; i++) (void)fcntl(r->ends[i], F_SETFL, O_NONBLOCK);
done:
  for (size_t i = 0; i < PIPES; i++)
    if (writes[i] >= 0) close(writes[i]);
  if (nothing >= 0) close(nothing);
  return status;
}

static void keep_errors(running *r, const char *bytes, size_t n) {
  if (n > KEPT_ERRORS) {
    bytes += n - KEPT_ERRORS;
    n = KEPT_ERRORS;
  }
  size_t room = KEPT_ERRORS - r->error_size, drop = n > room ? n - room : 0;
  memmove(r->errors, r->errors + drop, r->error_size - drop);
  r->error_size -= drop;
  memcpy(r->errors + r->error_size, bytes, n);
  r->error_size += n;
}

/* Reads what is there. */
static al_status drain(running *r, size_t which) {
  char piece[PIECE];
  while (r->ends[which] >= 0) {
    ssize_t got = read(r->ends[which], piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return AL_OK;
    if (got <= 0) {
      close(r->ends[which]);
      r->ends[which] = -1;
      return AL_OK;
    }
    if (which == ERRORS) {
      keep_errors(r, piece, (size_t)got);
    } else if (r->output.size + (size_t)got > r->program->most_output) {
      r->too_much = true;
      return AL_OK;
    } else {
      al_status status = al_buffer_append(&r->output, piece, (size_t)got);
      if (status != AL_OK) return status;
    }
  }
  return AL_OK;
}

/* Has it ended? It is left as it is, so that its group's number cannot pass to another before the group is killed. */
static bool has_ended(const running *r) {
  siginfo_t facts = {0};
  return waitid(P_PID, (id_t)r->pid, &facts, WEXITED | WNOHANG | WNOWAIT) == 0 && facts.si_pid == r->pid;
}

/* Until the end, the timeout or too much output; *late: the timeout. */
static al_status follow(running *r, bool *late) {
  double deadline = al_seconds() + r->program->timeout;
  *late = false;
  while (!r->too_much) {
    struct pollfd polled[2];
    bool ended = has_ended(r); /* before the last reading, so that nothing printed is missed */
    for (size_t i = 0; i < 2; i++) polled[i] = (struct pollfd){.fd = r->ends[i], .events = POLLIN};
    (void)poll(polled, 2, ended ? 0 : STEP_MS);
    for (size_t i = 0; i < 2; i++) {
      al_status status = drain(r, i);
      if (status != AL_OK) return status;
    }
    if (ended) return AL_OK;
    *late = al_seconds() > deadline;
    if (*late) return AL_OK;
  }
  return AL_OK;
}

/* The last line of standard error that is not blank, or "". */
static const char *last_line(running *r) {
  static const char blank[] = "\n\r\t ";
  while (r->error_size != 0 && strchr(blank, r->errors[r->error_size - 1]) != NULL) r->error_size--;
  if (r->error_size == KEPT_ERRORS) r->error_size--;
  r->errors[r->error_size] = '\0';
  char *line = strrchr(r->errors, '\n');
  return line == NULL ? r->errors : line + 1;
}

static al_status judge_end(running *r, int how, bool late) {
  const char *name = r->program->words[0];
  int error = 0;
  ssize_t got;
  do got = read(r->ends[START], &error, sizeof error);
  while (got < 0 && errno == EINTR);
  if (got == (ssize_t)sizeof error) return al_fail(AL_BAD_INPUT, "cannot start '%s': %s", name, strerror(error));
  if (late)
    return al_fail(AL_BAD_INPUT, "'%s' ran longer than %g s and was ended; raise timeout if it needs more", name,
                   r->program->timeout);
  if (r->too_much)
    return al_fail(AL_BAD_INPUT, "'%s' printed more than %zu bytes and was ended", name, r->program->most_output);
  const char *line = last_line(r);
  if (WIFSIGNALED(how))
    return al_fail(AL_BAD_INPUT, "'%s' was ended by signal %d (%s)%s%s", name, WTERMSIG(how), strsignal(WTERMSIG(how)),
                   *line == '\0' ? "" : ": ", line);
  if (WEXITSTATUS(how) != 0)
    return al_fail(AL_BAD_INPUT, "'%s' ended with status %d%s%s", name, WEXITSTATUS(how), *line == '\0' ? "" : ": ",
                   line);
  return AL_OK;
}

al_status al_program_run(char **output, size_t *size, const al_program *program) {
  running r = {.program = program, .pid = -1, .ends = {-1, -1, -1}};
  bool late = false;
  *output = NULL;
  *size = 0;
  al_status status = al_buffer_append(&r.output, "", 0);
  if (status == AL_OK) status = start(&r);
  if (status == AL_OK) status = follow(&r, &late);
  if (r.pid > 0) {
    int how = 0;
    kill(-r.pid, SIGKILL); /* what it left behind, or itself */
    while (waitpid(r.pid, &how, 0) < 0 && errno == EINTR) {
    }
    if (status == AL_OK) status = judge_end(&r, how, late);
  }
  for (size_t i = 0; i < PIPES; i++)
    if (r.ends[i] >= 0) close(r.ends[i]);
  if (status == AL_OK) {
    *output = r.output.data;
    *size = r.output.size;
  } else {
    al_buffer_free(&r.output);
  }
  return status;
}
