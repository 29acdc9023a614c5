/* alab list and alab explain: what there is, from the same tables that the program runs on. */
#include "cli/cli.h"

#include "base/log.h"
#include "data/catalogue.h"
#include "model/model.h"
#include "oracle/oracle.h"
#include "strategy/strategy.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char list_help[] = "usage: alab list datasets|models|strategies|oracles [--json]\n";

static void put(json_t *list, json_t *item) { json_array_append_new(list, item); }

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text == NULL ? "" : text;
}

static al_status list_datasets(json_t *list) {
  const json_t *catalogue = NULL;
  al_status status = al_catalogue(&catalogue);
  if (status != AL_OK) return status;
  const char *name;
  json_t *entry;
  json_object_foreach(json_object_get(catalogue, "datasets"), name, entry) {
    al_installed installed;
    status = al_installed_find(&installed, name, entry);
    if (status != AL_OK) return status;
    put(list, json_pack("{s:s,s:s,s:O,s:O,s:O,s:s,s:s}", "name", name, "kind", text_of(entry, "kind"), "train",
                        json_object_get(entry, "train"), "test", json_object_get(entry, "test"), "classes",
                        json_object_get(entry, "classes"), "here", installed.n != 0 ? "yes" : "no", "summary",
                        text_of(entry, "task")));
  }
  put(list, json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s}", "name", "synthetic-text", "kind", "text", "train", 8000, "test",
                      2000, "classes", 20, "here", "yes", "summary", "embedded generator of documents"));
  put(list, json_pack("{s:s,s:s,s:i,s:i,s:i,s:s,s:s}", "name", "synthetic-images", "kind", "image", "train", 8000,
                      "test", 2000, "classes", 10, "here", "yes", "summary", "embedded generator of glyph scenes"));
  return AL_OK;
}

static void print_datasets(const json_t *list) {
  printf("%-17s %-6s %7s %7s %8s %5s  %s\n", "name", "kind", "train", "test", "classes", "here", "task");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *d = json_array_get(list, i);
    printf("%-17s %-6s %7lld %7lld %8lld %5s  %s\n", text_of(d, "name"), text_of(d, "kind"),
           (long long)json_integer_value(json_object_get(d, "train")),
           (long long)json_integer_value(json_object_get(d, "test")),
           (long long)json_integer_value(json_object_get(d, "classes")), text_of(d, "here"), text_of(d, "summary"));
  }
}

static al_status list_models(json_t *list) {
  for (size_t i = 0; al_models[i] != NULL; i++)
    put(list, json_pack("{s:s,s:s,s:s,s:s}", "name", al_models[i]->name, "here", "yes", "kind", "model", "summary",
                        al_models[i]->summary));
  const json_t *catalogue = NULL;
  al_status status = al_catalogue(&catalogue);
  if (status != AL_OK) return status;
  const char *name;
  json_t *entry;
  json_object_foreach(json_object_get(catalogue, "models"), name, entry) {
    al_installed installed;
    status = al_installed_find(&installed, name, entry);
    if (status != AL_OK) return status;
    const char *summary = text_of(entry, *text_of(entry, "summary") != '\0' ? "summary" : "kind");
    put(list, json_pack("{s:s,s:s,s:s,s:s}", "name", name, "here", installed.n != 0 ? "yes" : "no", "kind",
                        text_of(entry, "kind"), "summary", summary));
  }
  return AL_OK;
}

static void print_plain(const json_t *list, bool here) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    if (here)
      printf("%-26s %-4s %-10s %s\n", text_of(item, "name"), text_of(item, "here"), text_of(item, "kind"),
             text_of(item, "summary"));
    else
      printf("%-20s %-18s %s\n", text_of(item, "name"), text_of(item, "family"), text_of(item, "summary"));
  }
}

al_status al_cli_list(int argc, char **argv) {
  static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
  bool as_json = false;
  int option;
  opterr = 0;
  optind = 1;
  while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
    if (option == 'j')
      as_json = true;
    else if (option == 'h')
      return fputs(list_help, stdout) < 0 ? AL_ENVIRONMENT : AL_OK;
    else
      return al_cli_unknown_option("list", argv);
  }
  const char *what = argc - optind == 1 ? argv[optind] : "";
  json_t *list = json_array();
  al_status status = AL_OK;
  if (strcmp(what, "datasets") == 0) {
    status = list_datasets(list);
    if (status == AL_OK && !as_json) print_datasets(list);
  } else if (strcmp(what, "models") == 0) {
    status = list_models(list);
    if (status == AL_OK && !as_json) print_plain(list, true);
  } else if (strcmp(what, "strategies") == 0) {
    for (size_t i = 0; al_strategies[i] != NULL; i++)
      put(list, json_pack("{s:s,s:s,s:s}", "name", al_strategies[i]->name, "family", al_strategies[i]->family,
                          "summary", al_strategies[i]->summary));
    if (!as_json) print_plain(list, false);
  } else if (strcmp(what, "oracles") == 0) {
    for (size_t i = 0; al_oracles[i] != NULL; i++)
      put(list, json_pack("{s:s,s:s,s:s}", "name", al_oracles[i]->name, "family", "oracle", "summary",
                          al_oracles[i]->summary));
    for (size_t i = 0; al_costs[i] != NULL; i++)
      put(list,
          json_pack("{s:s,s:s,s:s}", "name", al_costs[i]->name, "family", "cost", "summary", al_costs[i]->summary));
    if (!as_json) print_plain(list, false);
  } else {
    status = al_fail(AL_BAD_INPUT, "list: give datasets, models, strategies or oracles");
  }
  if (status == AL_OK && as_json) {
    json_dumpf(list, stdout, JSON_INDENT(1));
    putchar('\n');
  }
  json_decref(list);
  return status;
}

/* ---- explain ---- */

static void print_params(const al_param *table, const char *indent) {
  if (table[0].key == NULL) {
    printf("%snone\n", indent);
    return;
  }
  for (const al_param *p = table; p->key != NULL; p++) {
    char range[96] = "";
    if (p->type == AL_PARAM_CHOICE)
      snprintf(range, sizeof range, " (%s)", p->choices);
    else if (p->min != 0.0 || p->max != 0.0)
      snprintf(range, sizeof range, " (%g to %g)", p->min, p->max);
    printf("%s%s [%s]%s: %s\n", indent, p->key, p->fallback == NULL ? "required" : p->fallback, range, p->help);
    if (p->table != NULL) {
      char deeper[32];
      snprintf(deeper, sizeof deeper, "%s  ", indent);
      print_params(p->table, deeper);
    }
  }
}

/* A definition may have several lines. */
static void print_block(const char *title, const char *text) {
  if (text == NULL || *text == '\0') return;
  printf("%s\n", title);
  for (const char *at = text; *at != '\0';) {
    size_t length = strcspn(at, "\n");
    printf("  %.*s\n", (int)length, at);
    at += length + (at[length] == '\n');
  }
}

static void explain_strategy(const al_strategy *s) {
  printf("%s: %s\n\n", s->name, s->summary);
  print_block("Family", s->family);
  print_block("Definition", s->definition);
  print_block("Citation", s->citation);
  print_block("Cost", s->cost);
  puts("Parameters");
  print_params(s->params, "  ");
}

static void explain_model(const al_model_type *m) {
  printf("%s: %s\n\n", m->name, m->summary);
  print_block("Citation", m->citation);
  puts("Keys");
  print_params(m->params, "  ");
}

static al_status explain_entry(const char *name, const json_t *entry) {
  static const char *const titles[] = {"task", "summary", "kind"};
  size_t title = 0;
  while (title < 2 && *text_of(entry, titles[title]) == '\0') title++;
  printf("%s: %s\n\n", name, text_of(entry, titles[title]));
  print_block("Cite", text_of(entry, "cite"));
  print_block("Terms", text_of(entry, "terms"));
  print_block("Homepage", text_of(entry, "homepage"));
  const json_t *train = json_object_get(entry, "train");
  if (train != NULL)
    printf("Rows\n  %lld train, %lld test, %lld classes\n", (long long)json_integer_value(train),
           (long long)json_integer_value(json_object_get(entry, "test")),
           (long long)json_integer_value(json_object_get(entry, "classes")));
  al_installed installed;
  al_status status = al_installed_find(&installed, name, entry);
  if (status != AL_OK) return status;
  printf("Here\n  %s\n", installed.n != 0 ? "yes" : "no; alab fetch gets it");
  return AL_OK;
}

static al_status unknown_name(const char *name, const json_t *catalogue) {
  enum { MOST = 300 };
  const char *names[MOST];
  size_t n = 0;
  const char *key;
  json_t *value;
  for (size_t i = 0; al_strategies[i] != NULL && n < MOST; i++) names[n++] = al_strategies[i]->name;
  for (size_t i = 0; al_models[i] != NULL && n < MOST; i++) names[n++] = al_models[i]->name;
  json_object_foreach(json_object_get(catalogue, "datasets"), key, value) if (n < MOST) names[n++] = key;
  json_object_foreach(json_object_get(catalogue, "models"), key, value) if (n < MOST) names[n++] = key;
  const char *nearest = al_nearest(name, names, n);
  if (nearest != NULL) return al_fail(AL_BAD_INPUT, "unknown name '%s'; did you mean '%s'?", name, nearest);
  return al_fail(AL_BAD_INPUT, "unknown name '%s'; see alab list strategies, models or datasets", name);
}

al_status al_cli_explain(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    puts("usage: alab explain NAME\n\nDefinition, citation, cost and parameters of a strategy, model, oracle, cost or "
         "dataset.");
    return AL_OK;
  }
  if (argc != 2) return al_fail(AL_BAD_INPUT, "explain: give one name; see alab list strategies, models or datasets");
  const char *name = argv[1];
  const json_t *catalogue = NULL;
  al_status status = al_catalogue(&catalogue);
  if (status != AL_OK) return status;
  const json_t *entry = al_catalogue_find(catalogue, name, NULL);
  if (al_strategy_find(name) != NULL) {
    explain_strategy(al_strategy_find(name));
    if (al_model_find(name) != NULL) { /* exec is both */
      puts("\nThe model of this name\n");
      explain_model(al_model_find(name));
    }
  } else if (al_model_find(name) != NULL) {
    explain_model(al_model_find(name));
  } else if (entry != NULL) {
    status = explain_entry(name, entry);
    if (status == AL_OK && json_object_get(entry, "task") != NULL) {
      puts("Keys of a dataset entry");
      print_params(al_dataset_params, "  ");
    }
  } else if (strcmp(name, "synthetic-text") == 0 || strcmp(name, "synthetic-images") == 0 ||
             strcmp(name, "dataset") == 0) {
    printf("%s: embedded generator or your own data\n\nKeys of a dataset entry\n", name);
    print_params(al_dataset_params, "  ");
  } else if (al_oracle_find(name) != NULL) {
    printf("%s: %s\n\nParameters\n", name, al_oracle_find(name)->summary);
    print_params(al_oracle_find(name)->params, "  ");
  } else if (al_cost_find(name) != NULL) {
    printf("%s: %s\n\nParameters\n", name, al_cost_find(name)->summary);
    print_params(al_cost_find(name)->params, "  ");
  } else {
    status = unknown_name(name, catalogue);
  }
  return status;
}
