/* Reading curves from tidy CSV: a good file, every kind of bad one with the line it must name, and damaged bytes. */
#include "stats/curve_set.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int make_path(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/alab-curves-XXXXXX");
  int file = mkstemp(path);
  return file < 0 || close(file) != 0;
}

static int drop_path(void **state) {
  (void)state;
  return unlink(path);
}

static al_status read_text(al_curve_set **set, const char *metric, const char *text, size_t size) {
  FILE *out = fopen(path, "wb"); /* not al_file_write, which waits for the disk each time */
  assert_non_null(out);
  assert_int_equal(fwrite(text, 1, size, out), size);
  assert_int_equal(fclose(out), 0);
  assert_int_equal(al_curve_set_new(set, metric), AL_OK);
  return al_curve_set_add(*set, path);
}

/* Rows out of order, CR LF, quotes, a byte order mark, a reference, an unfinished cell, an absent value. */
static const char good[] =
    "\xEF\xBB\xBFstudy,dataset,model,setting,strategy,replicate,round,labels,cost,seed,streams,digest,budget,end,"
    "accuracy,"
    "nll\r\n"
    "s,d,m,,margin,1,1,20,40.5,7,1,abc,\"{\"\"labels\"\":30,\"\"rounds\"\":null}\",labels,0.625,1.5\r\n"
    "s,d,m,,margin,1,0,10,20,7,1,abc,\"{\"\"labels\"\":30,\"\"rounds\"\":null}\",labels,0.5,2\r\n"
    "\r\n"
    "s,d,m,,\"ra\"\"nd,om\",1,0,10,20,7,1,abc,{},labels,0.5,2\r\n"
    "s,d,m,,margin,1,2,30,61,7,1,abc,\"{\"\"labels\"\":30,\"\"rounds\"\":null}\",labels,NA,1.25\r\n"
    "s,d,m,,full-data,0,0,1000,,7,1,abc,,pool,0.875,\r\n"
    "s,d,m,,entropy,1,0,10,20,7,1,abc,,,0.5,2\r\n";

static void good_file(void **state) {
  (void)state;
  al_curve_set *set;
  assert_int_equal(read_text(&set, "accuracy", good, sizeof good - 1), AL_OK);
  assert_int_equal(set->source_count, 1);
  assert_int_equal(set->n, 2);
  const al_cell_curve *c = &set->cells[0];
  assert_string_equal(c->strategy, "margin");
  assert_string_equal(set->cells[1].strategy, "ra\"nd,om");
  assert_int_equal(c->n, 2); /* the absent value is no point */
  assert_float_equal(c->labels[1], 20.0, 0.0);
  assert_float_equal(c->cost[1], 40.5, 0.0);
  assert_float_equal(c->value[0], 0.5, 0.0);
  assert_float_equal(c->value[1], 0.625, 0.0);
  assert_float_equal(c->budget, 30.0, 0.0);
  assert_string_equal(c->seed, "7");
  assert_int_equal(set->full_n, 1);
  assert_float_equal(set->full[0].value, 0.875, 0.0);
  assert_int_equal(set->unfinished_n, 1);
  assert_non_null(strstr(set->unfinished[0], "entropy.r1"));
  assert_true(al_cells_paired(c, &set->cells[1]));
  assert_false(al_cells_differ(c, &set->cells[1]));
  al_curve_set_free(set);
  assert_int_equal(read_text(&set, "nll", good, sizeof good - 1), AL_OK);
  assert_true(set->lower_is_better);
  assert_int_equal(set->cells[0].n, 3);
  al_curve_set_free(set);
}

static void foreign_file(void **state) {
  (void)state;
  static const char text[] = "strategy,labels,f1\na,10,0.25\na,20,0.5\nb,20,0.75\nb,10,0.5\n";
  al_curve_set *set;
  assert_int_equal(read_text(&set, "f1", text, sizeof text - 1), AL_OK);
  assert_int_equal(set->n, 2); /* no column end: all are complete */
  assert_float_equal(set->cells[1].labels[0], 10.0, 0.0);
  assert_true(isnan(set->cells[0].cost[0]));
  assert_true(isnan(set->cells[0].budget));
  assert_false(al_cells_paired(&set->cells[0], &set->cells[1])); /* unknown agrees with nothing */
  assert_false(al_cells_differ(&set->cells[0], &set->cells[1]));
  al_curve_set_free(set);
  static const char two[] = "study,strategy,labels,f1\nold,a,10,0.25\nold,a,20,0.5\nnew,a,10,0.25\nnew,a,20,0.75\n";
  assert_int_equal(read_text(&set, "f1", two, sizeof two - 1), AL_OK);
  assert_int_equal(set->source_count, 2);
  assert_non_null(strstr(set->sources[0], ": old"));
  assert_int_equal(set->cells[1].source, 1);
  al_curve_set_free(set);
}

static void bad_files(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } cases[] = {
      {"", "the file is empty"},
      {"strategy,labels,accuracy\n", "no round"},
      {"strategy,acuracy,labels\na,0.5,10\n", "line 1: there is no metric 'accuracy'; did you mean 'acuracy'"},
      {"labels,accuracy\n10,0.5\n", "line 1: the header has no column 'strategy'"},
      {"strategy,labels,labels,accuracy\na,1,1,0.5\n", "line 1: two columns are named 'labels'"},
      {"strategy,labels,accuracy,accuracy\na,1,1,0.5\n", "line 1: two columns are named 'accuracy'"},
      {"strategy,labels,accuracy,\na,1,1,\n", "line 1: the name of column 4"},
      {"strategy,labels,accuracy\na,10,0.5\na,20\n", "line 3: 2 fields, but the header has 3"},
      {"strategy,labels,accuracy\na,10,0.5\na,20,0x1p3\n", "line 3: column 'accuracy'"},
      {"strategy,labels,accuracy\na,10,0.5\na,20,inf\n", "line 3: column 'accuracy'"},
      {"strategy,labels,accuracy\na,10,0.5\na,20,1e999\n", "line 3: column 'accuracy'"},
      {"strategy,labels,accuracy\na,10,0.5\na,ten,0.6\n", "line 3: column 'labels'"},
      {"strategy,labels,accuracy\na,-10,0.5\n", "line 2: column 'labels'"},
      {"strategy,labels,accuracy\na,,0.5\n", "line 2: column 'labels'"},
      {"strategy,labels,accuracy\n,10,0.5\n", "line 2: column 'strategy' is empty"},
      {"strategy,labels,accuracy\n\x1b[31mred,10,0.5\n", "line 2: column 'strategy': this is not printable"},
      {"strategy,labels,accuracy\n\xff,10,0.5\n", "line 2: column 'strategy': this is not printable"},
      {"strategy,labels,accuracy\n\xe2\x80\xae,10,0.5\n", "line 2: column 'strategy': this is not printable"},
      {"strategy,labels,accuracy\n\"a,10,0.5\n", "line 2: the quote that opens here"},
      {"strategy,labels,accuracy\n\"a\"b,10,0.5\n", "line 2: text stands behind"},
      {"strategy,replicate,labels,accuracy\na,1.5,10,0.5\n", "line 2: column 'replicate'"},
      {"strategy,replicate,labels,accuracy\na,-1,10,0.5\n", "line 2: column 'replicate'"},
      {"strategy,round,labels,accuracy\na,0,10,0.5\na,0,20,0.6\n", "line 3: this round of the cell is on line 2"},
      {"strategy,labels,accuracy\na,10,0.5\na,10,0.6\n", "line 3: this round of the cell is on line 2"},
      {"strategy,round,labels,accuracy\na,0,10,0.5\na,1,5,0.6\n", "line 3: fewer labels"},
      {"strategy,round,labels,cost,accuracy\na,0,10,9,0.5\na,1,15,8,0.6\n", "line 3: less cost"},
      {"strategy,round,labels,accuracy\na,0,10,0.5\na,,15,0.6\n", "line 3: column 'round' is empty"},
      {"strategy,seed,labels,accuracy\na,1,10,0.5\na,2,15,0.6\n", "line 3: column 'seed' differs from line 2"},
      {"strategy,budget,labels,accuracy\na,many,10,0.5\n", "line 2: column 'budget'"},
      {"strategy,budget,labels,accuracy\na,[1],10,0.5\n", "line 2: column 'budget'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    al_curve_set *set;
    assert_int_equal(read_text(&set, "accuracy", cases[i].text, strlen(cases[i].text)), AL_BAD_INPUT);
    if (strstr(al_message(), cases[i].says) == NULL || strncmp(al_message(), path, strlen(path)) != 0)
      fail_msg("'%s' expected, not '%s'", cases[i].says, al_message());
    al_curve_set_free(set);
  }
  al_curve_set *set;
  assert_int_equal(read_text(&set, "accuracy", "strategy,labels,accuracy\na\0b,10,0.5\n", 36), AL_BAD_INPUT);
  al_curve_set_free(set);
  assert_int_equal(al_curve_set_new(&set, "labels"), AL_OK);
  assert_int_equal(al_curve_set_add(set, path), AL_BAD_INPUT);
  assert_int_equal(al_curve_set_add(set, "/nowhere/at/all.csv"), AL_BAD_INPUT);
  al_curve_set_free(set);
}

/* Cut short and damaged anywhere, it is read or refused, and what was read is whole. */
static void damaged(void **state) {
  (void)state;
  char text[sizeof good];
  unsigned long long s = 20260;
  for (size_t i = 0; i < 900; i++) {
    size_t size = sizeof good - 1;
    al_curve_set *set;
    memcpy(text, good, sizeof good);
    if (i < size) {
      size = i;
    } else {
      for (int hits = 0; hits < 3; hits++) {
        s = 16807 * s % 2147483647;
        text[s % size] = "\n\",\r0\xC3"
                         "9a\x00-"[(s >> 12) % 10];
      }
    }
    al_status status = read_text(&set, "accuracy", text, size);
    assert_true(status == AL_OK || status == AL_BAD_INPUT);
    for (size_t c = 0; status == AL_OK && c < set->n; c++)
      for (size_t p = 0; p < set->cells[c].n; p++) {
        assert_true(isfinite(set->cells[c].value[p]));
        assert_true(p == 0 || set->cells[c].labels[p] >= set->cells[c].labels[p - 1]);
      }
    al_curve_set_free(set);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(good_file), cmocka_unit_test(foreign_file),
                                     cmocka_unit_test(bad_files), cmocka_unit_test(damaged)};
  return cmocka_run_group_tests(tests, make_path, drop_path);
}
