/* Tidy exports of a study. */
#ifndef AL_RECORD_EXPORT_H
#define AL_RECORD_EXPORT_H

#include "base/status.h"

#include <stdio.h>

/* One row a round: study, dataset, model, setting, strategy, replicate, round, labels, cost, seed, streams, digest,
 * budget, end, then a column a test metric (STATISTICS.md). RFC 4180; reals with 17 significant digits; absent values
 * empty. */
al_status al_export_csv(const char *folder, FILE *out) AL_MUST_USE;

/* Tables runs, rounds, picks, metrics and views curves, summaries (docs/log.md); `path` is replaced as a whole. */
al_status al_export_sqlite(const char *folder, const char *path) AL_MUST_USE;

#endif
