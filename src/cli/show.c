/* alab show CELL [--round R]: what a cell picked, as a person would want to see it: the text's beginning or the image
 * in characters, with class and score. Reads the log and the prepared dataset; writes nothing. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "record/record.h"

#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 100, IMAGES_A_LINE = 3 };

static const char help[] =
    "usage: alab show CELL [--round R]\n"
    "\n"
    "Prints the rows that a cell asked, in the order asked: class, score, and the text's beginning or the image.\n"
    "CELL is a log file, as results/STUDY/cells/NAME.jsonl.\n"
    "\n"
    "  --round R   only round R (0 is the initial set); default: the last\n"
    "  --all       every round\n";

/* results/STUDY/cells/NAME.jsonl -> folder results/STUDY and NAME. */
static al_status split_path(const char *path, char folder[PATH_MAX], char name[NAME_MAX + 1]) {
  char copy[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof copy) return al_fail(AL_BAD_INPUT, "the path of the cell is too long");
  memcpy(copy, path, length + 1);
  const char *base = basename(copy);
  size_t size = strlen(base);
  static const char suffix[] = ".jsonl";
  if (size > strlen(suffix) && strcmp(base + size - strlen(suffix), suffix) == 0) size -= strlen(suffix);
  if (size > NAME_MAX) return al_fail(AL_BAD_INPUT, "the name of the cell is too long");
  memcpy(name, base, size);
  name[size] = '\0';
  memcpy(copy, path, length + 1);
  char *cells = dirname(copy);
  char again[PATH_MAX];
  memcpy(again, cells, strlen(cells) + 1);
  if (strcmp(basename(again), "cells") != 0)
    return al_fail(AL_BAD_INPUT, "%s: not a cell's log; give results/STUDY/cells/NAME.jsonl", path);
  char *above = dirname(cells);
  snprintf(folder, PATH_MAX, "%s", above);
  return AL_OK;
}

/* The first bytes of a text on one line; a cut character is left out. */
static void print_text(const al_dataset *dataset, size_t row) {
  int64_t begin = dataset->text_begin[row], end = dataset->text_begin[row + 1];
  char line[TEXT_BYTES + 1];
  size_t n = 0;
  for (int64_t i = begin; i < end && n < TEXT_BYTES; i++) {
    unsigned char byte = (unsigned char)dataset->text[i];
    if (byte <= ' ' || byte == 0x7f) {
      if (n != 0 && line[n - 1] != ' ') line[n++] = ' ';
    } else {
      line[n++] = (char)byte;
    }
  }
  while (n != 0 && ((unsigned char)line[n - 1] & 0xC0) == 0x80) n--;
  if (n != 0 && (unsigned char)line[n - 1] >= 0xC0) n--;
  line[n] = '\0';
  printf("  %s%s\n", line, begin + (int64_t)n < end ? "..." : "");
}

/* Two pixel rows a character row, grey level by ten characters. */
static void print_images(const al_dataset *dataset, const size_t *rows, size_t n) {
  static const char shades[] = " .:-=+*#%@";
  size_t plane = dataset->height * dataset->width;
  for (size_t y = 0; y < dataset->height; y += 2) {
    for (size_t i = 0; i < n; i++) {
      const uint8_t *image = dataset->pixels + rows[i] * dataset->channels * plane;
      for (size_t x = 0; x < dataset->width; x++) {
        unsigned sum = 0, count = 0;
        for (size_t c = 0; c < dataset->channels; c++)
          for (size_t below = 0; below < 2 && y + below < dataset->height; below++, count++)
            sum += image[c * plane + (y + below) * dataset->width + x];
        putchar(shades[count == 0 ? 0 : sum * (sizeof shades - 2) / (255 * count)]);
      }
      fputs(i + 1 < n ? " | " : "\n", stdout);
    }
  }
}

static const char *class_of(const al_dataset *dataset, const json_t *answer) {
  json_int_t class = json_integer_value(json_array_get(answer, 0));
  if (json_is_null(answer)) return "(abstained)";
  return class >= 0 && (size_t) class < dataset->classes ? dataset->class_names[class] : "?";
}

static al_status print_round(const al_dataset *dataset, const json_t *round) {
  const json_t *asked = json_object_get(round, "asked"), *scores = json_object_get(round, "scores");
  const json_t *answers = json_object_get(round, "answers");
  json_int_t number = json_integer_value(json_object_get(round, "round"));
  const json_t *metrics = json_object_get(json_object_get(round, "metrics"), "test");
  printf("round %lld: %zu asked, %lld labels, cost %g, accuracy %.4f\n", (long long)number, json_array_size(asked),
         (long long)json_integer_value(json_object_get(round, "labels")),
         json_number_value(json_object_get(round, "cost")), json_number_value(json_object_get(metrics, "accuracy")));
  size_t waiting[IMAGES_A_LINE], held = 0;
  for (size_t i = 0; i < json_array_size(asked); i++) {
    json_int_t row = json_integer_value(json_array_get(asked, i));
    if (row < 0 || (size_t)row >= dataset->rows)
      return al_fail(AL_BAD_INPUT, "round %lld asks row %lld, but the dataset has %zu rows", (long long)number,
                     (long long)row, dataset->rows);
    const json_t *score = json_array_get(scores, i);
    printf("%4zu  row %-6lld  %-24s", i + 1, (long long)row, class_of(dataset, json_array_get(answers, i)));
    if (json_is_number(score))
      printf("  score %.6g\n", json_number_value(score));
    else
      printf("  no score\n");
    if (dataset->kind == AL_TEXT) print_text(dataset, (size_t)row);
    if (dataset->kind == AL_IMAGE) {
      waiting[held++] = (size_t)row;
      if (held == IMAGES_A_LINE || i + 1 == json_array_size(asked)) {
        print_images(dataset, waiting, held);
        held = 0;
      }
    }
  }
  return AL_OK;
}

static al_status show(const char *path, long round, bool all) {
  al_status status;
  al_log *log = NULL;
  al_dataset *dataset = NULL;
  json_t *study = NULL;
  char folder[PATH_MAX], name[NAME_MAX + 1];
  AL_TRY(split_path(path, folder, name));
  AL_TRY(al_log_read(&log, folder, name));
  AL_TRY(al_study_read(&study, folder));
  const json_t *entry = json_object_get(json_object_get(log->header, "dataset"), "options");
  const char *base = json_string_value(json_object_get(study, "base"));
  AL_TRY(al_dataset_open(&dataset, entry, base == NULL ? "." : base, path));
  size_t rounds = json_array_size(log->rounds);
  if (rounds == 0) {
    status = al_fail(AL_BAD_INPUT, "%s: no round is finished yet; run the study first", path);
    goto done;
  }
  if (round >= 0 && (size_t)round >= rounds) {
    status = al_fail(AL_BAD_INPUT, "--round: %s has rounds 0 to %zu", path, rounds - 1);
    goto done;
  }
  size_t first = all ? 0 : round >= 0 ? (size_t)round : rounds - 1, last = all ? rounds - 1 : first;
  for (size_t r = first; r <= last; r++) AL_TRY(print_round(dataset, json_array_get(log->rounds, r)));
done:
  al_log_free(log);
  al_dataset_free(dataset);
  json_decref(study);
  return status;
}

al_status al_cli_show(int argc, char **argv) {
  static const struct option options[] = {
      {"round", required_argument, NULL, 'r'}, {"all", no_argument, NULL, 'a'}, {"help", no_argument, NULL, 'h'}, {0}};
  long round = -1;
  bool all = false;
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    char *end = NULL;
    switch (option) {
    case 'r':
      round = strtol(optarg, &end, 10);
      if (*optarg == '\0' || *end != '\0' || round < 0)
        return al_fail(AL_BAD_INPUT, "--round: '%s' is not a round number", optarg);
      break;
    case 'a': all = true; break;
    case 'h': fputs(help, stdout); return AL_OK;
    default: return al_fail(AL_BAD_INPUT, "show: unknown option; see alab show --help");
    }
  }
  if (argc - optind != 1) return al_fail(AL_BAD_INPUT, "show: give one cell; see alab show --help");
  return show(argv[optind], round, all);
}
