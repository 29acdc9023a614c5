/* The strategies there are, in documentation order. */
#include "strategy/strategy.h"

#include <string.h>

extern const al_strategy al_strategy_random, al_strategy_entropy, al_strategy_least_confidence, al_strategy_margin,
    al_strategy_error_rate, al_strategy_oracle_error, al_strategy_jaccard, al_strategy_mutual_information,
    al_strategy_neighborhood, al_strategy_variation_ratio, al_strategy_mc_entropy, al_strategy_mean_std,
    al_strategy_bald, al_strategy_power_bald, al_strategy_k_center, al_strategy_badge, al_strategy_egl,
    al_strategy_ranked_batch, al_strategy_class_balanced, al_strategy_density, al_strategy_herding, al_strategy_cal;
extern const al_strategy al_strategy_discriminative, al_strategy_probcover;
extern const al_strategy al_strategy_k_means, al_strategy_kmeans_plus_plus, al_strategy_typiclust,
    al_strategy_cluster_margin, al_strategy_margin_clustered, al_strategy_alfa_mix;
extern const al_strategy al_strategy_schedule, al_strategy_mixture, al_strategy_subsample, al_strategy_exec,
    al_strategy_albl, al_strategy_bandit;
extern const al_strategy al_strategy_batch_bald, al_strategy_qbc, al_strategy_expected_error_reduction,
    al_strategy_bait;

const al_strategy *const al_strategies[] = {
    &al_strategy_random,
    &al_strategy_entropy,
    &al_strategy_least_confidence,
    &al_strategy_margin,
    &al_strategy_error_rate,
    &al_strategy_oracle_error,
    &al_strategy_jaccard,
    &al_strategy_mutual_information,
    &al_strategy_neighborhood,
    &al_strategy_variation_ratio,
    &al_strategy_mc_entropy,
    &al_strategy_mean_std,
    &al_strategy_bald,
    &al_strategy_power_bald,
    &al_strategy_batch_bald,
    &al_strategy_qbc,
    &al_strategy_expected_error_reduction,
    &al_strategy_k_center,
    &al_strategy_k_means,
    &al_strategy_kmeans_plus_plus,
    &al_strategy_typiclust,
    &al_strategy_badge,
    &al_strategy_bait,
    &al_strategy_egl,
    &al_strategy_ranked_batch,
    &al_strategy_class_balanced,
    &al_strategy_cluster_margin,
    &al_strategy_margin_clustered,
    &al_strategy_alfa_mix,
    &al_strategy_density,
    &al_strategy_herding,
    &al_strategy_probcover,
    &al_strategy_cal,
    &al_strategy_discriminative,
    &al_strategy_schedule,
    &al_strategy_mixture,
    &al_strategy_subsample,
    &al_strategy_exec,
    &al_strategy_albl,
    &al_strategy_bandit,
    NULL,
};

const al_strategy *al_strategy_find(const char *name) {
  for (size_t i = 0; al_strategies[i] != NULL; i++)
    if (strcmp(al_strategies[i]->name, name) == 0) return al_strategies[i];
  return NULL;
}
