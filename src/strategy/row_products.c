/* One row at a time, in vector registers where the row is dense. */
#include "strategy/row_products.h"

#include "base/simd.h"

AL_SIMD static double dot(const double *restrict vector, const float *restrict x, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] += vector[i + l] * (double)x[i + l];
  for (; i < n; i++) lanes[i % AL_LANES] += vector[i] * (double)x[i];
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

AL_SIMD static void add(double *restrict sum, const float *restrict x, double scale, size_t n) {
  for (size_t i = 0; i < n; i++) sum[i] += scale * (double)x[i];
}

AL_SIMD static double squared_norm(const float *restrict x, size_t n) {
  double lanes[AL_LANES] = {0}, sum = 0.0;
  size_t i = 0;
  for (; i + AL_LANES <= n; i += AL_LANES)
    for (size_t l = 0; l < AL_LANES; l++) lanes[l] += (double)x[i + l] * (double)x[i + l];
  for (; i < n; i++) lanes[i % AL_LANES] += (double)x[i] * (double)x[i];
  for (size_t l = 0; l < AL_LANES; l++) sum += lanes[l];
  return sum;
}

double al_row_dot(const al_view *view, size_t row, const double *vector) {
  if (view->kind == AL_VIEW_DENSE) return dot(vector, view->values + row * view->cols, view->cols);
  double sum = 0.0;
  for (int64_t p = view->begin[row]; p < view->end[row]; p++) sum += vector[view->indices[p]] * (double)view->values[p];
  return sum;
}

void al_row_add(const al_view *view, size_t row, double scale, double *sum) {
  if (view->kind == AL_VIEW_DENSE) {
    add(sum, view->values + row * view->cols, scale, view->cols);
    return;
  }
  for (int64_t p = view->begin[row]; p < view->end[row]; p++) sum[view->indices[p]] += scale * (double)view->values[p];
}

double al_row_squared_norm(const al_view *view, size_t row) {
  if (view->kind == AL_VIEW_DENSE) return squared_norm(view->values + row * view->cols, view->cols);
  return squared_norm(view->values + view->begin[row], (size_t)(view->end[row] - view->begin[row]));
}
