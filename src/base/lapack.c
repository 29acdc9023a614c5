/* LAPACK with workspaces asked for and errors as statuses. */
#include "base/lapack.h"

#include "base/memory.h"

#include <stdlib.h>

extern void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work, const int *lwork,
                    int *info);
extern void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
                    double *work, const int *lwork, int *info);
extern void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
                    double *work, const int *lwork, int *iwork, const int *liwork, int *info);

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);

extern void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);

al_status al_cholesky(double *a, size_t n) {
  int order = (int)n, info = 0;
  dpotrf_("U", &order, a, &order, &info); /* row-major lower is column-major upper */
  return info == 0 ? AL_OK : al_fail(AL_ENVIRONMENT, "LAPACK's Cholesky factorisation failed (%d)", info);
}

al_status al_cholesky_inverse(double *a, size_t n) {
  int order = (int)n, info = 0;
  dpotri_("U", &order, a, &order, &info);
  return info == 0 ? AL_OK : al_fail(AL_ENVIRONMENT, "LAPACK's inverse of a Cholesky factor failed (%d)", info);
}

al_status al_orthonormalise(double *a, size_t n, size_t k) {
  al_status status;
  double *tau = NULL, *work = NULL, size;
  int rows = (int)n, cols = (int)k, ask = -1, info = 0;
  if (k == 0) return AL_OK;
  AL_TRY(AL_NEW(&tau, k));
  dgeqrf_(&rows, &cols, a, &rows, tau, &size, &ask, &info);
  int lwork = (int)size < cols * 64 ? cols * 64 : (int)size;
  AL_TRY(AL_NEW(&work, (size_t)lwork));
  dgeqrf_(&rows, &cols, a, &rows, tau, work, &lwork, &info);
  if (info == 0) dorgqr_(&rows, &cols, &cols, a, &rows, tau, work, &lwork, &info);
  if (info != 0) status = al_fail(AL_ENVIRONMENT, "LAPACK's QR factorisation failed (%d)", info);
done:
  free(tau);
  free(work);
  return status;
}

al_status al_eigen_symmetric(double *a, size_t n, double *w) {
  al_status status;
  double *work = NULL, size = 0.0;
  int *iwork = NULL, isize = 0, order = (int)n, ask = -1, info = 0;
  if (n == 0) return AL_OK;
  dsyevd_("V", "U", &order, a, &order, w, &size, &ask, &isize, &ask, &info);
  int lwork = (int)size, liwork = isize;
  AL_TRY(AL_NEW(&work, (size_t)lwork));
  AL_TRY(AL_NEW(&iwork, (size_t)liwork));
  dsyevd_("V", "U", &order, a, &order, w, work, &lwork, iwork, &liwork, &info);
  if (info != 0) status = al_fail(AL_ENVIRONMENT, "LAPACK's eigenvalue decomposition failed (%d)", info);
done:
  free(work);
  free(iwork);
  return status;
}
