/* alab fetch NAME...: mirror folders first, then the network. */
#include "cli/cli.h"

#include "base/log.h"
#include "data/catalogue.h"

#include <stdio.h>
#include <string.h>

al_status al_cli_fetch(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--help") == 0) {
    puts("usage: alab fetch NAME...\n\nGets datasets and models (alab list datasets, alab list models). Folders in "
         "ALAB_MIRROR are\n"
         "looked through first; then the network, resuming what was interrupted. Checksums are verified before "
         "anything is used.");
    return AL_OK;
  }
  if (argc < 2) return al_fail(AL_BAD_INPUT, "fetch: give the name of a dataset or model; see alab list datasets");
  for (int i = 1; i < argc; i++) {
    const json_t *catalogue = NULL;
    al_installed installed;
    al_status status = al_catalogue(&catalogue);
    if (status != AL_OK) return status;
    const json_t *entry = al_catalogue_find(catalogue, argv[i], NULL);
    if (entry == NULL)
      return al_fail(AL_BAD_INPUT, "fetch: unknown name '%s'; see alab list datasets and alab list models", argv[i]);
    status = al_installed_find(&installed, argv[i], entry);
    if (status != AL_OK) return status;
    if (installed.n != 0) {
      if (al_installed_verify(&installed, argv[i]) == AL_OK) {
        printf("%s is here already\n", argv[i]);
        continue;
      }
      al_log_warning("%s", al_message());
      al_installed_remove(&installed);
    }
    status = al_fetch(argv[i], true);
    if (status != AL_OK) return status;
    printf("%s fetched and verified\n", argv[i]);
  }
  return AL_OK;
}
