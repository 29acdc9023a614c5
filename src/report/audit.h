/* The protocol audit: does a study avoid the known pitfalls of active-learning evaluation? Each finding names its
 * evidence and, unless all is well, the remedy. */
#ifndef AL_REPORT_AUDIT_H
#define AL_REPORT_AUDIT_H

#include "base/memory.h"
#include "report/collect.h"

typedef enum al_verdict {
  AL_VERDICT_SOUND,
  AL_VERDICT_NOTE,    /* sound, but say it in the paper */
  AL_VERDICT_WARNING, /* weakens what can be concluded */
  AL_VERDICT_PROBLEM  /* conclusions do not hold */
} al_verdict;

typedef struct al_finding {
  const char *name;     /* "baseline" */
  const char *question; /* "Is there a random baseline?" */
  al_verdict verdict;
  char *evidence, *remedy; /* remedy: NULL when sound */
} al_finding;

typedef struct al_audit {
  al_finding *items;
  size_t n, capacity;
} al_audit;

/* experiment: as resolved by config, and as kept in study.json. collection: the study's complete cells, or NULL before
 * it was run; then findings that only logs can give say so. */
al_status al_audit_make(al_audit *out, const json_t *experiment, al_collection *collection) AL_MUST_USE;
void al_audit_free(al_audit *audit);

size_t al_audit_count(const al_audit *audit, al_verdict verdict);
const char *al_verdict_name(al_verdict verdict); /* "sound", "note", "warning", "problem" */

typedef enum al_audit_style { AL_AUDIT_TEXT, AL_AUDIT_MD, AL_AUDIT_JSON, AL_AUDIT_HTML } al_audit_style;
al_status al_audit_append(al_buffer *out, const al_audit *audit, al_audit_style style) AL_MUST_USE;

#endif
