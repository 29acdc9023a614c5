/* The thread's error message. Nothing here allocates, so that "out of memory" can always be said. */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 2000 };

static _Thread_local char message[MESSAGE_BYTES];

/* A message is one line whatever bytes of strangers it quotes. */
static void flatten(char *text) {
  for (; *text != '\0'; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

al_status al_fail(al_status code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  flatten(message);
  return code;
}

al_status al_context(al_status code, const char *format, ...) {
  char old[MESSAGE_BYTES];
  memcpy(old, message, sizeof old);
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  if (length < 0) length = 0;
  if ((size_t)length < sizeof message) snprintf(message + length, sizeof message - (size_t)length, ": %s", old);
  flatten(message);
  return code;
}

al_status al_fail_errno(const char *format, ...) {
  int error = errno;
  char what[MESSAGE_BYTES / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(what, sizeof what, format, arguments);
  va_end(arguments);
  if (error == ENOSPC || error == EDQUOT)
    return al_fail(AL_ENVIRONMENT, "%s: disk full; free some space and run the same command again", what);
  return al_fail(AL_ENVIRONMENT, "%s: %s", what, strerror(error));
}

const char *al_message(void) { return message; }
