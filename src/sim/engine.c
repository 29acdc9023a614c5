/* Worker processes. A child talks to its parent through one pipe, in messages of a fixed size below PIPE_BUF, so that
 * each is read whole; the end of the pipe is the end of the child. */
#include "sim/engine.h"

#include "base/log.h"
#include "base/memory.h"
#include "sim/cell.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum { ROUNDS_DONE, NOTICE, FAILURE } news;

typedef struct {
  news kind;
  size_t done;    /* ROUNDS_DONE */
  char text[480]; /* of a notice, or the child's error message */
} message;

_Static_assert(sizeof(message) <= PIPE_BUF, "a message must be written in one piece");

typedef struct {
  pid_t pid;
  int pipe;
  size_t task;
  message last;
} worker;

static volatile sig_atomic_t stop_requested;

static void on_signal(int number) {
  if (number == SIGINT && stop_requested) _exit(AL_INTERRUPTED); /* the second Ctrl-C means now */
  stop_requested = 1;
}

static struct sigaction old_interrupt, old_terminate;

void al_engine_catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigemptyset(&action.sa_mask);
  stop_requested = 0;
  sigaction(SIGINT, &action, &old_interrupt);
  sigaction(SIGTERM, &action, &old_terminate);
}

void al_engine_release_signals(void) {
  sigaction(SIGINT, &old_interrupt, NULL);
  sigaction(SIGTERM, &old_terminate, NULL);
}

volatile sig_atomic_t *al_engine_stop_flag(void) { return &stop_requested; }

static void send_message(int pipe, news kind, size_t done, const char *text) {
  message m = {.kind = kind, .done = done};
  snprintf(m.text, sizeof m.text, "%s", text);
  ssize_t written;
  do written = write(pipe, &m, sizeof m);
  while (written < 0 && errno == EINTR);
  /* a parent that is gone reads nothing; the log on disk is what counts */
}

static void report_progress(void *context, size_t done, size_t rounds) {
  (void)rounds;
  send_message(*(int *)context, ROUNDS_DONE, done, "");
}

/* Lines of many workers would run together: the parent says them. */
static void report_notice(void *context, const char *text) { send_message(*(int *)context, NOTICE, 0, text); }

static void child(const al_task *task, int pipe) {
  al_log_set_quiet(true); /* no bar but the parent's */
  al_log_set_listener(report_notice, &pipe);
  al_cell_watch watch = {.stop = &stop_requested, .progress = report_progress, .context = &pipe};
  al_status status = task->run(task->context, &watch);
  if (status != AL_OK) send_message(pipe, FAILURE, 0, al_message());
  /* _exit: libtorch's and the parent's exit handlers are not this process's business */
  _exit((int)status);
}

static al_status start_worker(worker *w, const al_task *task, size_t index, const worker *others, size_t running) {
  int ends[2];
  if (pipe(ends) != 0) return al_fail_errno("cannot make a pipe for a worker");
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    return al_fail_errno("cannot start a worker process");
  }
  if (pid == 0) {
    close(ends[0]);
    for (size_t i = 0; i < running; i++) close(others[i].pipe);
    child(task, ends[1]);
  }
  close(ends[1]);
  *w = (worker){.pid = pid, .pipe = ends[0], .task = index};
  w->last.done = task->done;
  return AL_OK;
}

/* Reads what the worker sent; false when the pipe has ended. */
static bool read_worker(worker *w) {
  message m;
  ssize_t got;
  do got = read(w->pipe, &m, sizeof m);
  while (got < 0 && errno == EINTR);
  if (got != (ssize_t)sizeof m) return false;
  if (m.kind == FAILURE)
    memcpy(w->last.text, m.text, sizeof m.text);
  else if (m.kind == NOTICE)
    al_log_notice("%s", m.text);
  else
    w->last.done = m.done;
  return true;
}

/* Status of an ended worker; a failure is reported here. */
static al_status reap(const worker *w, const al_task *task) {
  int how = 0;
  pid_t got;
  do got = waitpid(w->pid, &how, 0);
  while (got < 0 && errno == EINTR);
  if (WIFSIGNALED(how)) {
    int number = WTERMSIG(how);
    al_log_error("cell %s: its worker was killed by signal %d (%s)%s", task->name, number, strsignal(number),
                 number == SIGKILL ? "; out of memory? try fewer --jobs" : "");
    return AL_ENVIRONMENT;
  }
  al_status status = WIFEXITED(how) ? (al_status)WEXITSTATUS(how) : AL_ENVIRONMENT;
  if (status != AL_OK && status != AL_INTERRUPTED) al_log_error("cell %s: %s", task->name, w->last.text);
  return status;
}

typedef struct {
  worker *workers;
  struct pollfd *polled;
  size_t running, next, succeeded, failed;
  al_status common; /* what all failures share; AL_NEGATIVE once they differ */
  size_t rounds_done;
  double work_done, work;
  bool interrupted, forwarded;
} crew;

static void count_end(crew *c, al_status status) {
  if (status == AL_OK) {
    c->succeeded++;
  } else if (status == AL_INTERRUPTED) {
    c->interrupted = true;
  } else {
    c->common = c->failed == 0 || c->common == status ? status : AL_NEGATIVE;
    c->failed++;
  }
}

static double work_between(const al_task *task, size_t from, size_t to) {
  return task->work(task->context, to) - task->work(task->context, from);
}

static void show(const crew *c, const al_task *tasks, size_t n) {
  char detail[80];
  size_t done = c->rounds_done;
  double work = c->work_done;
  for (size_t i = 0; i < c->running; i++) {
    const al_task *task = &tasks[c->workers[i].task];
    done += c->workers[i].last.done - task->done;
    work += work_between(task, task->done, c->workers[i].last.done);
  }
  snprintf(detail, sizeof detail, "(%zu / %zu cells)", c->succeeded + c->failed, n);
  al_progress_share(c->work > 0.0 ? work / c->work : 0.0);
  al_progress_update((double)done, detail);
}

static void wait_for_news(crew *c, al_task *tasks) {
  for (size_t i = 0; i < c->running; i++) c->polled[i] = (struct pollfd){.fd = c->workers[i].pipe, .events = POLLIN};
  if (poll(c->polled, c->running, 500) <= 0) return;
  for (size_t i = c->running; i-- > 0;) {
    if (c->polled[i].revents == 0 || read_worker(&c->workers[i])) continue;
    al_task *task = &tasks[c->workers[i].task];
    al_status status = reap(&c->workers[i], task);
    count_end(c, status);
    /* an ended cell counts whole, also when it stopped early */
    size_t reached = status == AL_INTERRUPTED ? c->workers[i].last.done : task->weight;
    c->rounds_done += reached - task->done;
    c->work_done += work_between(task, task->done, reached);
    close(c->workers[i].pipe);
    c->workers[i] = c->workers[--c->running];
    c->polled[i] = c->polled[c->running];
  }
}

al_status al_engine_run(al_task *tasks, size_t n, unsigned jobs, const char *title, size_t *failed) {
  al_status status;
  crew c = {0};
  double total = 0.0;
  *failed = 0;
  for (size_t i = 0; i < n; i++) {
    total += (double)(tasks[i].weight - tasks[i].done);
    c.work += work_between(&tasks[i], tasks[i].done, tasks[i].weight);
  }
  AL_TRY(AL_NEW(&c.workers, jobs));
  AL_TRY(AL_NEW(&c.polled, jobs));
  al_progress_start(title, total, "rounds");
  while (c.running != 0 || (c.next < n && !stop_requested)) {
    while (c.running < jobs && c.next < n && !stop_requested) {
      AL_TRY(start_worker(&c.workers[c.running], &tasks[c.next], c.next, c.workers, c.running));
      c.running++;
      c.next++;
    }
    wait_for_news(&c, tasks);
    if (stop_requested && !c.forwarded) {
      for (size_t i = 0; i < c.running; i++) kill(c.workers[i].pid, SIGTERM);
      c.forwarded = true;
    }
    show(&c, tasks, n);
  }
  al_progress_end();
  if (stop_requested || c.interrupted)
    status = al_fail(AL_INTERRUPTED, "interrupted; %zu of %zu cells are complete", c.succeeded, n);
  else if (c.failed != 0)
    status = al_fail(c.succeeded == 0 ? c.common : AL_NEGATIVE, "%zu of %zu cells failed", c.failed, n);
done:
  *failed = c.failed;
  free(c.workers);
  free(c.polled);
  return status;
}

al_status al_engine_isolate(al_status (*run)(void *context, void *result), void *context, void *result, size_t bytes) {
  int ends[2];
  message m = {0};
  if (pipe(ends) != 0) return al_fail_errno("cannot make a pipe for a worker");
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) {
    close(ends[0]);
    close(ends[1]);
    return al_fail_errno("cannot start a worker process");
  }
  if (pid == 0) {
    close(ends[0]);
    al_status status = run(context, result);
    if (status != AL_OK)
      send_message(ends[1], FAILURE, 0, al_message());
    else if (bytes != 0 && write(ends[1], result, bytes) != (ssize_t)bytes)
      status = AL_ENVIRONMENT;
    _exit((int)status);
  }
  close(ends[1]);
  char *answer = NULL;
  size_t capacity = 0, size = 0;
  al_status status = AL_OK;
  for (;;) {
    if ((status = al_grow(&answer, &capacity, size + sizeof m, 1)) != AL_OK) break;
    ssize_t got = read(ends[0], answer + size, sizeof m);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += (size_t)got;
  }
  close(ends[0]);
  int how = 0;
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
  }
  if (status == AL_OK && WIFSIGNALED(how))
    status = al_fail(AL_ENVIRONMENT, "a worker was killed by signal %d (%s)", WTERMSIG(how), strsignal(WTERMSIG(how)));
  else if (status == AL_OK && WEXITSTATUS(how) != 0) {
    if (size == sizeof m) memcpy(&m, answer, sizeof m);
    status = al_fail((al_status)WEXITSTATUS(how), "%s", m.text);
  } else if (status == AL_OK && size == bytes && bytes != 0)
    memcpy(result, answer, bytes);
  free(answer);
  return status;
}
