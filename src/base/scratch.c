/* A scratch folder is locked by its process: a lock goes with the process however it ends, so that a folder without one
 * has no owner. */
#include "base/scratch.h"

#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_OPEN = 16, SECONDS_TO_LOCK = 60 /* a younger folder's owner may be about to lock it */ };

/* A folder without write permission, which a program may have left, cannot be emptied. */
static int open_up(const char *path, const struct stat *facts, int kind, struct FTW *walk) {
  (void)facts;
  (void)walk;
  if (kind == FTW_D || kind == FTW_DNR) (void)chmod(path, 0700);
  return 0;
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *walk) {
  (void)facts;
  (void)kind;
  (void)walk;
  return remove(path);
}

static int remove_folder(const char *path) {
  (void)nftw(path, open_up, MOST_OPEN, FTW_PHYS);
  return nftw(path, remove_one, MOST_OPEN, FTW_PHYS | FTW_DEPTH);
}

static int try_lock(const char *path) {
  int file = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  if (file >= 0) close(file);
  return -1;
}

/* Only this user's; others' are theirs to remove. */
static void remove_ownerless(const char *where, const char *start) {
  DIR *folder = opendir(where);
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    char path[PATH_MAX];
    struct stat facts;
    if (strncmp(entry->d_name, start, strlen(start)) != 0) continue;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", where, entry->d_name) >= sizeof path) continue;
    if (lstat(path, &facts) != 0 || !S_ISDIR(facts.st_mode) || facts.st_uid != getuid()) continue;
    if (facts.st_mtime + SECONDS_TO_LOCK > time(NULL)) continue;
    int lock = try_lock(path);
    if (lock < 0) continue;
    (void)remove_folder(path); /* what cannot be removed now is there the next time */
    close(lock);
  }
  closedir(folder);
}

al_status al_scratch_open(al_scratch *scratch, const char *what) {
  al_status status;
  char *start = NULL;
  const char *where = getenv("TMPDIR");
  *scratch = (al_scratch){.lock = -1};
  if (where == NULL || *where != '/') where = "/tmp";
  AL_TRY(al_format(&start, "alab-%s-", what));
  remove_ownerless(where, start);
  AL_TRY(al_format(&scratch->path, "%s/%sXXXXXX", where, start));
  if (mkdtemp(scratch->path) == NULL) {
    status = al_fail_errno("cannot make a temporary folder %s", scratch->path);
    free(scratch->path);
    scratch->path = NULL;
    goto done;
  }
  scratch->lock = try_lock(scratch->path);
done:
  free(start);
  return status;
}

void al_scratch_close(al_scratch *scratch) {
  if (scratch->path == NULL) return;
  if (remove_folder(scratch->path) != 0)
    al_log_warning("cannot remove the temporary folder %s: %s", scratch->path, strerror(errno));
  if (scratch->lock >= 0) close(scratch->lock);
  free(scratch->path);
  *scratch = (al_scratch){.lock = -1};
}
