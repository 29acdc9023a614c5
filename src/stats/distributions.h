/* The two distributions that GSL lacks, integrated by its quadrature. GSL's aborting error handler must be off. */
#ifndef AL_STATS_DISTRIBUTIONS_H
#define AL_STATS_DISTRIBUTIONS_H

/* P(T > t) of the noncentral t with df > 0 degrees of freedom: R's pt(t, df, ncp, lower.tail = FALSE), to 1e-9 or
 * better in absolute terms. NaN when the quadrature fails. */
double al_noncentral_t_upper(double t, double df, double ncp);

/* P(Q <= q) of the range of k >= 2 independent standard normals: the studentized range with infinite degrees of
 * freedom, R's ptukey(q, k, Inf), to 1e-9. */
double al_range_cdf(double q, unsigned k);
/* Its quantile, R's qtukey(p, k, Inf), to 1e-8; 0 < p < 1. */
double al_range_quantile(double p, unsigned k);

#endif
