/* Getting files: from mirror folders, then from the network. A file is written as <file>.part, checked, and only then
 * renamed; <file>.checked holds the checksum that it had then. An interrupted download goes on where it stopped.
 *
 * A file whose checksum nobody published (`recorded: first-use`) is believed once: <file>.first-use keeps the checksum
 * that it had, also when the file is removed, and every later copy must have it. */
#include "data/catalogue.h"

#include "base/file.h"
#include "base/log.h"
#include "data/unpack.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEX_BYTES = 2 * EVP_MAX_MD_SIZE + 1, CONNECT_SECONDS = 10, STALL_SECONDS = 30 };

/* ---- checksums ---- */

static void to_hex(const unsigned char *bytes, unsigned n, char *hex) {
  for (unsigned i = 0; i < n; i++) snprintf(hex + 2 * (size_t)i, 3, "%02x", bytes[i]);
}

static al_status file_checksum(const char *path, const char *algorithm, char hex[HEX_BYTES]) {
  unsigned char digest[EVP_MAX_MD_SIZE], piece[1 << 16];
  unsigned length = 0;
  al_status status = AL_OK;
  FILE *file = fopen(path, "rbe");
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  const EVP_MD *kind = EVP_get_digestbyname(algorithm);
  if (file == NULL)
    status = al_fail_errno("cannot read %s", path);
  else if (context == NULL || kind == NULL || EVP_DigestInit_ex(context, kind, NULL) != 1)
    status = al_fail(AL_ENVIRONMENT, "libcrypto has no %s", algorithm);
  size_t got;
  while (status == AL_OK && (got = fread(piece, 1, sizeof piece, file)) != 0) EVP_DigestUpdate(context, piece, got);
  if (status == AL_OK && ferror(file)) status = al_fail_errno("cannot read %s", path);
  if (status == AL_OK) {
    EVP_DigestFinal_ex(context, digest, &length);
    to_hex(digest, length, hex);
  }
  EVP_MD_CTX_free(context);
  if (file != NULL) fclose(file);
  return status;
}

typedef struct {
  const json_t *content; /* {member: sha256}, or NULL: entries are only walked */
  size_t matched;
  const char *path;
} content_check;

static al_status check_member(void *context, const char *name, const char *bytes, size_t size) {
  content_check *check = context;
  const char *slash = strrchr(name, '/');
  const json_t *wanted = json_object_get(check->content, slash == NULL ? name : slash + 1);
  if (wanted == NULL) return AL_OK;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  char hex[HEX_BYTES];
  if (EVP_Digest(bytes, size, digest, &length, EVP_sha256(), NULL) != 1)
    return al_fail(AL_ENVIRONMENT, "libcrypto has no sha256");
  to_hex(digest, length, hex);
  if (strcmp(hex, json_string_value(wanted)) != 0)
    return al_fail(AL_ENVIRONMENT, "%s: wrong checksum of the member %s", check->path, name);
  check->matched++;
  return AL_OK;
}

/* The checksum of a file that the catalogue has none for, against the first one that was seen. */
static al_status check_first_use(const char *path, const char *final, const char *shown, char hex[HEX_BYTES]) {
  char *record = NULL, *before = NULL;
  size_t size = 0;
  al_status status;
  AL_TRY(file_checksum(path, "sha256", hex));
  AL_TRY(al_format(&record, "%s.first-use", final));
  if (!al_file_exists(record)) {
    AL_TRY(al_file_write(record, hex, strlen(hex)));
    al_log_notice("%s: nobody published a checksum; recorded its sha256 %s, which every later copy must have", shown,
                  hex);
    goto done;
  }
  AL_TRY(al_file_read(&before, &size, record, 4096));
  if (strcmp(before, hex) != 0)
    status =
        al_fail(AL_ENVIRONMENT,
                "%s: wrong checksum: sha256 is %s and was %.64s when it was first fetched; if the new one is to be "
                "believed, remove %s",
                shown, hex, before, record);
done:
  free(record);
  free(before);
  return status;
}

/* Checksum first, then every entry of an archive is walked: hostile or truncated ones never get their name. */
static al_status check_file(const char *path, const char *final, const char *shown, const json_t *spec, size_t limit,
                            char **mark) {
  static const char *const algorithms[] = {"sha256", "md5"};
  char hex[HEX_BYTES] = "";
  al_status status = AL_OK;
  for (size_t i = 0; i < 2; i++) {
    const char *wanted = json_string_value(json_object_get(spec, algorithms[i]));
    if (wanted == NULL) continue;
    AL_TRY(file_checksum(path, algorithms[i], hex));
    if (strcmp(hex, wanted) != 0) {
      struct stat facts;
      json_int_t bytes = json_integer_value(json_object_get(spec, "bytes"));
      bool cut = bytes != 0 && stat(path, &facts) == 0 && facts.st_size < bytes;
      status = cut ? al_fail(AL_ENVIRONMENT, "%s: truncated: %lld of %lld bytes", shown, (long long)facts.st_size,
                             (long long)bytes)
                   : al_fail(AL_ENVIRONMENT, "%s: wrong checksum: %s is %s, the catalogue says %s", shown,
                             algorithms[i], hex, wanted);
      goto done;
    }
    break;
  }
  content_check check = {.content = json_object_get(spec, "content"), .path = shown};
  AL_TRY(al_unpack(path, json_string_value(json_object_get(spec, "file")), limit, check_member, &check));
  if (check.content != NULL && check.matched != json_object_size(check.content)) {
    status = al_fail(AL_ENVIRONMENT, "%s: the archive lacks a member that the catalogue names", shown);
    goto done;
  }
  if (*hex == '\0' && check.content != NULL)
    AL_TRY(file_checksum(path, "sha256", hex));
  else if (*hex == '\0')
    AL_TRY(check_first_use(path, final, shown, hex));
  AL_TRY(al_format(mark, "%s\n", hex));
done:
  return status;
}

/* Gives a checked .part file its name. */
static al_status install(const char *part, const char *path, const char *mark) {
  char *mark_path = NULL;
  al_status status = al_format(&mark_path, "%s.checked", path);
  if (status == AL_OK && rename(part, path) != 0) status = al_fail_errno("cannot install %s", path);
  if (status == AL_OK && mark != NULL) status = al_file_write(mark_path, mark, strlen(mark));
  free(mark_path);
  return status;
}

static al_status check_and_install(const char *part, const char *path, const char *shown, const json_t *spec,
                                   size_t limit) {
  char *mark = NULL;
  al_status status = check_file(part, path, shown, spec, limit, &mark);
  if (status == AL_OK) status = install(part, path, mark);
  free(mark);
  if (status != AL_OK) unlink(part);
  return status;
}

/* ---- mirror ---- */

static al_status copy_file(const char *from, const char *to) {
  char piece[1 << 16];
  al_status status = AL_OK;
  FILE *in = fopen(from, "rbe"), *out = in == NULL ? NULL : fopen(to, "wbe");
  if (in == NULL || out == NULL) status = al_fail_errno("cannot copy %s to %s", from, to);
  size_t got;
  while (status == AL_OK && (got = fread(piece, 1, sizeof piece, in)) != 0)
    if (fwrite(piece, 1, got, out) != got) status = al_fail_errno("cannot write %s", to);
  if (status == AL_OK && (ferror(in) || fflush(out) != 0 || fsync(fileno(out)) != 0))
    status = al_fail_errno("cannot copy %s to %s", from, to);
  if (in != NULL) fclose(in);
  if (out != NULL && fclose(out) != 0 && status == AL_OK) status = al_fail_errno("cannot write %s", to);
  return status;
}

typedef struct {
  const char *name, *section;
  const json_t *files;
  size_t limit;
  char folder[PATH_MAX - 200]; /* <cache>/raw/<name> */
} wanted;

static const char *file_name(const wanted *w, size_t i) {
  return json_string_value(json_object_get(json_array_get(w->files, i), "file"));
}

/* <cache>/raw/<name>/<file>, with its mark: nothing is left to do. A file without a mark (a stop between the two) is
 * checked where it lies. */
static bool installed(const wanted *w, size_t i) {
  char path[PATH_MAX], mark[PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/%s", w->folder, file_name(w, i));
  snprintf(mark, sizeof mark, "%s.checked", path);
  if (!al_file_exists(path)) return false;
  return al_file_exists(mark) || check_and_install(path, path, path, json_array_get(w->files, i), w->limit) == AL_OK;
}

/* The next folder of ALAB_MIRROR that has the file, from *at on; false when there is none. */
static bool next_in_mirror(const wanted *w, size_t i, const char **at, char from[PATH_MAX]) {
  while (*at != NULL && **at != '\0') {
    size_t length = strcspn(*at, ":");
    int size = snprintf(from, PATH_MAX, "%.*s/%s/%s/%s", (int)length, *at, w->section, w->name, file_name(w, i));
    *at += length + ((*at)[length] == ':');
    if (length != 0 && size < PATH_MAX && al_file_exists(from)) return true;
  }
  return false;
}

/* The first copy of file `i` in a mirror folder that passes its checks. AL_OK and *found, or what was wrong. */
static al_status from_mirror(const wanted *w, size_t i, bool *found) {
  const char *at = getenv("ALAB_MIRROR");
  char from[PATH_MAX], path[PATH_MAX], part[PATH_MAX];
  al_status status = AL_OK;
  *found = false;
  while (!*found && next_in_mirror(w, i, &at, from)) {
    snprintf(path, sizeof path, "%s/%s", w->folder, file_name(w, i));
    snprintf(part, sizeof part, "%s.%ld.part", path, (long)getpid());
    status = copy_file(from, part);
    if (status == AL_OK) status = check_and_install(part, path, from, json_array_get(w->files, i), w->limit);
    if (status != AL_OK) unlink(part);
    *found = status == AL_OK;
  }
  return status;
}

/* Whether file `i` can be had at all: it is here, in a mirror folder, or (network) has an address. */
static bool within_reach(const wanted *w, size_t i, bool network) {
  const char *at = getenv("ALAB_MIRROR");
  char from[PATH_MAX];
  return installed(w, i) || next_in_mirror(w, i, &at, from) ||
         (network && json_object_get(json_array_get(w->files, i), "url") != NULL);
}

/* ---- network ---- */

typedef struct {
  CURL *curl;
  curl_off_t resumed, most;
  double total;
} download;

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now) {
  download *d = context;
  (void)up_total;
  (void)up_now;
  long code = 0;
  curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &code);
  if (total > 0 && d->total == 0.0 && code < 300) {
    d->total = (double)(total + d->resumed);
    al_progress_start("fetching", d->total, "bytes");
  }
  if (d->total > 0.0) al_progress_update((double)(now + d->resumed), NULL);
  return total + d->resumed > d->most || now + d->resumed > d->most; /* not 0 ends it */
}

static void set_options(CURL *curl, const char *url, FILE *out, download *d) {
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 100L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "alab/" ALAB_VERSION);
  curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, d->resumed);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, d);
}

/* Into `part`, going on behind what is there (*resumed). most: bytes beyond which it cannot be what is wanted. */
static al_status download_file(const char *url, const char *part, size_t most, bool *resumed) {
  struct stat facts;
  download d = {.resumed = stat(part, &facts) == 0 ? (curl_off_t)facts.st_size : 0, .most = (curl_off_t)most};
  CURL *curl = d.curl = curl_easy_init();
  FILE *out = fopen(part, "abe");
  al_status status = AL_OK;
  *resumed = d.resumed != 0;
  if (curl == NULL || out == NULL) {
    status = out == NULL ? al_fail_errno("cannot write %s", part) : al_fail(AL_ENVIRONMENT, "libcurl cannot start");
    goto done;
  }
  if (flock(fileno(out), LOCK_EX | LOCK_NB) != 0) {
    status = al_fail(AL_ENVIRONMENT, "%s: another alab is fetching this file; wait for it", part);
    goto done;
  }
  set_options(curl, url, out, &d);
  CURLcode result = curl_easy_perform(curl);
  long code = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
  /* 416: nothing is left to get; a server that cannot resume starts over */
  if (d.resumed != 0 && (code == 416 || result == CURLE_RANGE_ERROR)) {
    result = CURLE_OK;
    if (code != 416) {
      if (ftruncate(fileno(out), 0) != 0) status = al_fail_errno("cannot shorten %s", part);
      d.resumed = 0;
      *resumed = false;
      set_options(curl, url, out, &d);
      result = curl_easy_perform(curl);
    }
  }
  if (d.total > 0.0) al_progress_end();
  if (result == CURLE_HTTP_RETURNED_ERROR)
    status = al_fail(AL_ENVIRONMENT, "download of %s failed: the server answered with HTTP status %ld", url, code);
  else if (result == CURLE_ABORTED_BY_CALLBACK)
    status = al_fail(AL_ENVIRONMENT, "download of %s refused: more bytes than the catalogue allows", url);
  else if (result == CURLE_WRITE_ERROR)
    status = al_fail_errno("cannot write %s", part);
  else if (result != CURLE_OK)
    status = al_fail(AL_ENVIRONMENT, "download of %s failed: %s; run the same command again to go on", url,
                     curl_easy_strerror(result));
done:
  if (out != NULL && fclose(out) != 0 && status == AL_OK) status = al_fail_errno("cannot write %s", part);
  curl_easy_cleanup(curl);
  return status;
}

/* Checks come after the whole download; a resumed one that fails them is fetched once more from its start (what lay
 * there may have been of another version). */
static al_status from_network(const wanted *w, size_t i) {
  const json_t *spec = json_array_get(w->files, i);
  const char *url = json_string_value(json_object_get(spec, "url"));
  char part[PATH_MAX], path[PATH_MAX];
  bool resumed = false;
  snprintf(path, sizeof path, "%s/%s", w->folder, file_name(w, i));
  snprintf(part, sizeof part, "%s.part", path);
  al_log_notice("fetching %s", url);
  al_status status = download_file(url, part, w->limit, &resumed);
  if (status == AL_OK) status = check_and_install(part, path, url, spec, w->limit);
  if (status == AL_OK || !resumed || al_file_exists(part)) return status;
  al_log_notice("what lay there was no good; fetching %s from its start", url);
  status = download_file(url, part, w->limit, &resumed);
  return status == AL_OK ? check_and_install(part, path, url, spec, w->limit) : status;
}

/* ---- the whole ---- */

/* All files of one alternative, each from where it can be had. *found: the whole alternative is here now. why: what was
 * wrong or is lacking, when anything of it was there. */
static al_status fetch_alternative(const wanted *w, bool network, bool *found, char *why, size_t why_size) {
  size_t n = json_array_size(w->files), reachable = 0, lacking = 0;
  al_status status = AL_OK;
  for (size_t i = n; i-- > 0;) {
    if (within_reach(w, i, network))
      reachable++;
    else
      lacking = i;
  }
  *found = false;
  if (reachable < n) {
    if (reachable != 0 && *why == '\0') snprintf(why, why_size, "the file %s is lacking", file_name(w, lacking));
    return AL_OK;
  }
  for (size_t i = 0; i < n && status == AL_OK; i++) {
    bool here = installed(w, i);
    if (!here) status = from_mirror(w, i, &here);
    if (here || !network || json_object_get(json_array_get(w->files, i), "url") == NULL) continue;
    if (status != AL_OK) al_log_warning("%s", al_message()); /* the network may have a good copy */
    status = from_network(w, i);
  }
  if (status != AL_OK) snprintf(why, why_size, "%s", al_message());
  *found = status == AL_OK;
  return status;
}

al_status al_fetch(const char *name, bool network) {
  al_status status;
  const json_t *catalogue = NULL;
  wanted w = {.name = name};
  char cache[PATH_MAX - 400], why[1000] = "";
  AL_TRY(al_catalogue(&catalogue));
  const json_t *entry = al_catalogue_find(catalogue, name, &w.section);
  if (entry == NULL) {
    status = al_fail(AL_BAD_INPUT, "unknown name '%s'; see alab list datasets and alab list models", name);
    goto done;
  }
  AL_TRY(al_cache_folder(cache, sizeof cache));
  snprintf(w.folder, sizeof w.folder, "%s/raw/%s", cache, name);
  AL_TRY(al_folder_make(w.folder));
  w.limit = (size_t)json_integer_value(json_object_get(entry, "unpacked"));
  const json_t *alternatives = json_object_get(entry, "alternatives");
  for (int by_network = 0; by_network <= (network ? 1 : 0); by_network++)
    for (size_t a = 0; a < json_array_size(alternatives); a++) {
      bool found = false;
      w.files = json_object_get(json_array_get(alternatives, a), "files");
      status = fetch_alternative(&w, by_network != 0, &found, why, sizeof why);
      if (status == AL_OK && found) goto done;
    }
  if (!network)
    status = *why == '\0' ? al_fail(AL_ENVIRONMENT, "%s is not here; run alab fetch %s", name, name)
                          : al_fail(AL_ENVIRONMENT, "%s is not here: %s; run alab fetch %s", name, why, name);
  else if (*why != '\0')
    status = al_fail(AL_ENVIRONMENT, "%s: %s", name, why);
  else
    status = al_fail(AL_ENVIRONMENT,
                     "%s: no mirror folder has it and the catalogue knows no address; set ALAB_MIRROR to a folder "
                     "with %s/%s",
                     name, w.section, name);
done:
  return status;
}

al_status al_installed_verify(const al_installed *found, const char *name) {
  al_status status = AL_OK;
  char *mark_path = NULL, *mark = NULL, hex[HEX_BYTES];
  for (size_t i = 0; i < found->n; i++) {
    const char *path = found->files[i].path;
    size_t size = 0;
    AL_TRY(al_format(&mark_path, "%s.checked", path));
    AL_TRY(al_file_read(&mark, &size, mark_path, 4096));
    size_t length = strspn(mark, "0123456789abcdef");
    AL_TRY(file_checksum(path, length == 32 ? "md5" : "sha256", hex));
    if (length != strlen(hex) || strncmp(mark, hex, length) != 0) {
      status = al_fail(AL_ENVIRONMENT, "%s: truncated or changed since it was fetched; run alab fetch %s", path, name);
      goto done;
    }
    free(mark_path);
    free(mark);
    mark_path = mark = NULL;
  }
done:
  free(mark_path);
  free(mark);
  return status;
}

void al_installed_remove(const al_installed *found) {
  for (size_t i = 0; i < found->n; i++) {
    char mark[sizeof found->files[i].path + 16];
    snprintf(mark, sizeof mark, "%s.checked", found->files[i].path);
    unlink(mark); /* first: a file without a mark counts for nothing */
    unlink(found->files[i].path);
  }
}

al_status al_fetch_model_file(char *path, size_t size, const char *model, const char *file) {
  al_status status;
  const json_t *catalogue = NULL;
  al_installed installed;
  AL_TRY(al_catalogue(&catalogue));
  const json_t *entry = al_catalogue_find(catalogue, model, NULL);
  if (entry == NULL) return al_fail(AL_BAD_INPUT, "unknown model '%s'; see alab list models", model);
  AL_TRY(al_installed_find(&installed, model, entry));
  if (installed.n == 0) {
    AL_TRY(al_fetch(model, false));
    AL_TRY(al_installed_find(&installed, model, entry));
  }
  for (size_t i = 0; i < installed.n; i++)
    if (strcmp(installed.files[i].name, file) == 0) {
      snprintf(path, size, "%s", installed.files[i].path);
      return AL_OK;
    }
  status = al_fail(AL_ENVIRONMENT, "%s has no file %s", model, file);
done:
  return status;
}
