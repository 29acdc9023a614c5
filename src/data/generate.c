/* The embedded generators: data with the traits that make query strategies differ (skewed vocabularies, mixed topics,
 * similar classes, near-duplicates, outliers, wrong labels), for machines without data and for tests. Seeded by
 * constants: a generated set is the same everywhere; what a study draws from it is the study's own.
 *
 * synthetic-text: 20 classes in 6 super-groups, each class of 10 facets that are common to rare. A document has a
 * length (log-normal), a main topic and a facet of it, often a second topic, and a clarity: the share of its words that
 * come from facet, class and group vocabularies rather than from a Zipf background. synthetic-images: 10 glyphs of
 * random strokes, drawn with a random affine map, thickness, contrast and clutter. */
#include "data/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  TEXT_CLASSES = 20,
  GROUPS = 6,
  BACKGROUND = 12000,
  GROUP_WORDS = 220,
  CLASS_WORDS = 160,
  FACETS = 10,
  FACET_WORDS = 60,
  FIRST_FACET = BACKGROUND + GROUPS * GROUP_WORDS + TEXT_CLASSES * CLASS_WORDS,
  FIRST_STRANGER = FIRST_FACET + TEXT_CLASSES * FACETS * FACET_WORDS,
  IMAGE_CLASSES = 10,
  STROKES = 3,
  POINTS = 4,
  DEFAULT_SEED = 20
};

typedef struct {
  size_t train, test, classes;
  uint64_t seed;
  double imbalance, duplicates, outliers, noise;
} knobs;

static double real_or(const json_t *entry, const char *key, double otherwise) {
  const json_t *value = json_object_get(entry, key);
  return json_is_number(value) ? json_number_value(value) : otherwise;
}

static knobs read_knobs(const json_t *entry, size_t classes) {
  return (knobs){.train = (size_t)real_or(entry, "size", 8000),
                 .test = (size_t)real_or(entry, "test_size", 2000),
                 .classes = (size_t)real_or(entry, "classes", (double)classes),
                 .seed = (uint64_t)real_or(entry, "seed", DEFAULT_SEED),
                 .imbalance = real_or(entry, "imbalance", 1.0),
                 .duplicates = real_or(entry, "duplicates", 0.0),
                 .outliers = real_or(entry, "outliers", 0.0),
                 .noise = real_or(entry, "noise", 0.0)};
}

static al_rng stream(const char *purpose, const char *name, uint64_t seed) {
  al_stream_key key = {.seed = seed, .purpose = purpose, .dataset = name};
  return al_rng_open(&key);
}

/* Class shares fall geometrically from the first class to the last, by `imbalance` in all. */
static size_t draw_class(al_rng *rng, size_t classes, double imbalance) {
  double weights[TEXT_CLASSES], total = 0.0;
  for (size_t c = 0; c < classes; c++) total += weights[c] = pow(imbalance, -(double)c / (double)(classes - 1));
  return al_rng_pick(weights, classes, total, al_rng_uniform(rng));
}

static al_status label_of(char *label, size_t size, al_rng *rng, size_t class, size_t classes, double noise,
                          int *length) {
  if (noise > 0.0 && al_rng_uniform(rng) < noise)
    class = (class + 1 + (size_t)al_rng_below(rng, classes - 1)) % classes;
  *length = snprintf(label, size, "%02zu", class);
  return AL_OK;
}

/* ---- text ---- */

/* Word number `id` as two to four syllables, distinct for distinct ids. */
static size_t spell(size_t id, char *word) {
  static const char *const onsets[] = {"b", "d", "f", "g", "k", "l", "m",  "n",
                                       "p", "r", "s", "t", "v", "z", "st", "tr"};
  static const char *const vowels[] = {"a", "e", "i", "o", "u", "ai", "or", "en"};
  size_t n = 0;
  id += 128; /* at least two syllables */
  do {
    n += (size_t)sprintf(word + n, "%s%s", onsets[id % 16], vowels[id / 16 % 8]);
    id /= 128;
  } while (id != 0);
  return n;
}

typedef struct {
  al_rng rng;
  size_t classes;
  double zipf[BACKGROUND], of_group[GROUP_WORDS], of_class[CLASS_WORDS], of_facet[FACET_WORDS], facets[FACETS];
  /* all cumulative */
} vocabulary;

static void cumulate(double *weights, size_t n, double exponent) {
  double sum = 0.0;
  for (size_t i = 0; i < n; i++) weights[i] = sum += pow((double)i + 2.7, -exponent);
}

static size_t draw(al_rng *rng, const double *cumulative, size_t n) {
  double target = al_rng_uniform(rng) * cumulative[n - 1];
  size_t low = 0, high = n - 1;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (cumulative[middle] > target)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static size_t group_of(size_t class) { return class * GROUPS / TEXT_CLASSES; }

static al_status add_word(al_buffer *text, al_rng *rng, size_t id) {
  char word[64];
  size_t size = spell(id, word);
  word[size++] = al_rng_below(rng, 12) == 0 ? '.' : ' ';
  return al_buffer_append(text, word, size);
}

static al_status write_document(al_buffer *text, vocabulary *v, size_t class, bool outlier) {
  al_status status = AL_OK;
  al_rng *rng = &v->rng;
  size_t words = (size_t)fmin(600.0, fmax(8.0, exp(3.9 + 0.8 * al_rng_normal(rng))));
  double clarity = 0.25 + 0.45 * al_rng_uniform(rng) * al_rng_uniform(rng);
  /* a second topic, most often of the same group, takes up to half of the topical words */
  size_t other = class;
  if (al_rng_uniform(rng) < 0.55) {
    other = (size_t)al_rng_below(rng, v->classes);
    if (al_rng_uniform(rng) < 0.7)
      while (group_of(other) != group_of(class)) other = (size_t)al_rng_below(rng, v->classes);
  }
  double mix = 0.5 * al_rng_uniform(rng);
  size_t facet = draw(rng, v->facets, FACETS);
  text->size = 0;
  for (size_t i = 0; i < words && status == AL_OK; i++) {
    double u = al_rng_uniform(rng);
    size_t topic = al_rng_uniform(rng) < mix ? other : class, id;
    if (outlier)
      id = FIRST_STRANGER + (size_t)al_rng_below(rng, 50000); /* words that hardly anyone else uses */
    else if (u < clarity * 0.35 && topic == class)
      id = FIRST_FACET + (class * FACETS + facet) * FACET_WORDS + draw(rng, v->of_facet, FACET_WORDS);
    else if (u < clarity * 0.55)
      id = BACKGROUND + GROUPS * GROUP_WORDS + topic * CLASS_WORDS + draw(rng, v->of_class, CLASS_WORDS);
    else if (u < clarity)
      id = BACKGROUND + group_of(topic) * GROUP_WORDS + draw(rng, v->of_group, GROUP_WORDS);
    else
      id = draw(rng, v->zipf, BACKGROUND);
    status = add_word(text, rng, id);
  }
  return status;
}

static al_status generate_text(al_table *table, const knobs *k) {
  al_status status;
  vocabulary *v = NULL;
  al_buffer text = {0};
  table->kind = AL_TEXT;
  AL_TRY(AL_NEW(&v, 1));
  v->classes = k->classes;
  v->rng = stream("documents", "synthetic-text", k->seed);
  cumulate(v->zipf, BACKGROUND, 1.05);
  cumulate(v->of_group, GROUP_WORDS, 0.6);
  cumulate(v->of_class, CLASS_WORDS, 0.6);
  cumulate(v->of_facet, FACET_WORDS, 0.6);
  cumulate(v->facets, FACETS, 1.6);
  size_t before = 0; /* the class of the text that a near-duplicate repeats */
  for (size_t row = 0; row < k->train + k->test; row++) {
    bool train = row < k->train;
    if (row == k->train) al_table_begin_test(table);
    bool duplicate = train && row != 0 && al_rng_uniform(&v->rng) < k->duplicates;
    bool outlier = train && al_rng_uniform(&v->rng) < k->outliers;
    size_t class = duplicate ? before : draw_class(&v->rng, k->classes, k->imbalance);
    if (duplicate)
      AL_TRY(add_word(&text, &v->rng, draw(&v->rng, v->zipf, BACKGROUND))); /* the same text and one word more */
    else
      AL_TRY(write_document(&text, v, class, outlier));
    before = class;
    char label[8];
    int length;
    AL_TRY(label_of(label, sizeof label, &v->rng, class, k->classes, train ? k->noise : 0.0, &length));
    AL_TRY(al_table_add_text(table, text.data, text.size, label, (size_t)length));
  }
done:
  al_buffer_free(&text);
  free(v);
  return status;
}

/* ---- images ---- */

typedef struct {
  double x[STROKES][POINTS], y[STROKES][POINTS];
} glyph;

typedef struct {
  double a, b, c, d, x, y; /* affine map of the unit square to pixels */
} placement;

static placement place(al_rng *rng, double side, double scale) {
  double angle = 0.35 * al_rng_normal(rng), shear = 0.2 * al_rng_normal(rng);
  double size = side * scale * (0.75 + 0.4 * al_rng_uniform(rng)), stretch = 0.8 + 0.4 * al_rng_uniform(rng);
  placement p = {.a = size * cos(angle),
                 .b = size * (shear - sin(angle)),
                 .c = size * stretch * sin(angle),
                 .d = size * stretch * cos(angle)};
  p.x = side * (0.5 + 0.07 * al_rng_normal(rng)) - 0.5 * (p.a + p.b);
  p.y = side * (0.5 + 0.07 * al_rng_normal(rng)) - 0.5 * (p.c + p.d);
  return p;
}

/* Stamps soft discs along a stroke's polyline. ink: side x side, 0 to 1. */
static void stroke(double *ink, size_t side, const double *x, const double *y, const placement *p, double width) {
  enum { STEPS = 24 };
  for (size_t i = 0; i + 1 < POINTS; i++)
    for (int s = 0; s <= STEPS; s++) {
      double t = (double)s / STEPS, gx = x[i] + t * (x[i + 1] - x[i]), gy = y[i] + t * (y[i + 1] - y[i]);
      double px = p->a * gx + p->b * gy + p->x, py = p->c * gx + p->d * gy + p->y;
      for (int dy = -3; dy <= 3; dy++)
        for (int dx = -3; dx <= 3; dx++) {
          int ix = (int)floor(px) + dx, iy = (int)floor(py) + dy;
          if (ix < 0 || iy < 0 || ix >= (int)side || iy >= (int)side) continue;
          double right = (double)ix + 0.5 - px, down = (double)iy + 0.5 - py,
                 distance = sqrt(right * right + down * down);
          double level = fmin(1.0, fmax(0.0, width - distance + 0.5));
          double *at = &ink[(size_t)iy * side + (size_t)ix];
          if (level > *at) *at = level;
        }
    }
}

static glyph draw_glyph(al_rng *rng) {
  glyph g;
  for (size_t s = 0; s < STROKES; s++)
    for (size_t i = 0; i < POINTS; i++) {
      g.x[s][i] = al_rng_uniform(rng);
      g.y[s][i] = al_rng_uniform(rng);
    }
  return g;
}

/* Glyphs come in pairs that share two strokes of three: the classes that are hard to tell apart. */
static void make_glyphs(glyph *glyphs, uint64_t seed) {
  al_rng rng = stream("glyphs", "synthetic-images", seed);
  for (size_t c = 0; c < IMAGE_CLASSES; c++) {
    glyphs[c] = draw_glyph(&rng);
    if (c % 2 == 1)
      for (size_t s = 0; s + 1 < STROKES; s++) {
        memcpy(glyphs[c].x[s], glyphs[c - 1].x[s], sizeof glyphs[c].x[s]);
        memcpy(glyphs[c].y[s], glyphs[c - 1].y[s], sizeof glyphs[c].y[s]);
      }
  }
}

typedef struct {
  al_rng rng;
  glyph glyphs[IMAGE_CLASSES];
  double ink[32 * 32], clutter[32 * 32];
  uint8_t pixels[3 * 32 * 32];
  size_t side, channels;
} studio;

static void paint(studio *s, size_t class, bool outlier) {
  al_rng *rng = &s->rng;
  size_t plane = s->side * s->side;
  memset(s->ink, 0, sizeof s->ink);
  memset(s->clutter, 0, sizeof s->clutter);
  placement p = place(rng, (double)s->side, 0.7);
  double width = 0.7 + 0.8 * al_rng_uniform(rng);
  glyph stranger = draw_glyph(rng); /* drawn for every image, so that knobs change no other draw */
  const glyph *g = outlier ? &stranger : &s->glyphs[class];
  for (size_t i = 0; i < STROKES; i++) {
    double x[POINTS], y[POINTS];
    for (size_t j = 0; j < POINTS; j++) {
      x[j] = g->x[i][j] + 0.05 * al_rng_normal(rng);
      y[j] = g->y[i][j] + 0.05 * al_rng_normal(rng);
    }
    stroke(s->ink, s->side, x, y, &p, width);
  }
  if (al_rng_uniform(rng) < 0.5) { /* one stroke of another glyph somewhere */
    placement q = place(rng, (double)s->side, 0.5);
    const glyph *other = &s->glyphs[al_rng_below(rng, IMAGE_CLASSES)];
    size_t i = (size_t)al_rng_below(rng, STROKES);
    stroke(s->clutter, s->side, other->x[i], other->y[i], &q, 0.7);
  }
  double noise = 0.02 + 0.1 * al_rng_uniform(rng);
  for (size_t c = 0; c < s->channels; c++) {
    double front = 0.55 + 0.45 * al_rng_uniform(rng), back = s->channels == 1 ? 0.0 : 0.4 * al_rng_uniform(rng);
    for (size_t i = 0; i < plane; i++) {
      double cover = fmax(s->ink[i], 0.6 * s->clutter[i]);
      double level = back + (front - back) * cover + noise * al_rng_normal(rng);
      s->pixels[c * plane + i] = (uint8_t)lround(255.0 * fmin(1.0, fmax(0.0, level)));
    }
  }
}

/* The same image with a little noise. */
static void repeat(studio *s) {
  for (size_t i = 0; i < s->channels * s->side * s->side; i++) {
    double level = s->pixels[i] + 2.0 * al_rng_normal(&s->rng);
    s->pixels[i] = (uint8_t)lround(fmin(255.0, fmax(0.0, level)));
  }
}

static al_status generate_images(al_table *table, const knobs *k, bool colour) {
  al_status status;
  studio *s = NULL;
  size_t before = 0;
  AL_TRY(AL_NEW(&s, 1));
  s->side = colour ? 32 : 28;
  s->channels = colour ? 3 : 1;
  s->rng = stream(colour ? "colour" : "grey", "synthetic-images", k->seed);
  make_glyphs(s->glyphs, k->seed);
  table->kind = AL_IMAGE;
  table->channels = s->channels;
  table->height = table->width = s->side;
  for (size_t row = 0; row < k->train + k->test; row++) {
    bool train = row < k->train;
    if (row == k->train) al_table_begin_test(table);
    bool duplicate = train && row != 0 && al_rng_uniform(&s->rng) < k->duplicates;
    bool outlier = train && al_rng_uniform(&s->rng) < k->outliers;
    size_t class = duplicate ? before : draw_class(&s->rng, k->classes, k->imbalance);
    if (duplicate)
      repeat(s);
    else
      paint(s, class, outlier);
    before = class;
    char label[8];
    int length;
    AL_TRY(label_of(label, sizeof label, &s->rng, class, k->classes, train ? k->noise : 0.0, &length));
    AL_TRY(al_table_add_image(table, s->pixels, label, (size_t)length));
  }
done:
  free(s);
  return status;
}

bool al_is_generator(const char *name) {
  return strcmp(name, "synthetic-text") == 0 || strcmp(name, "synthetic-images") == 0;
}

al_status al_generate(al_table *table, const json_t *entry) {
  bool of_text = strcmp(al_params_string(entry, "name"), "synthetic-text") == 0;
  knobs k = read_knobs(entry, of_text ? TEXT_CLASSES : IMAGE_CLASSES);
  if (of_text) return generate_text(table, &k);
  return generate_images(table, &k, json_is_true(json_object_get(entry, "colour")));
}
