/* What the program and the processor are: what promises of equal bits hold for, and what cached floats are keyed by. */
#ifndef AL_BASE_BUILD_H
#define AL_BASE_BUILD_H

#include "base/status.h"

#include <stddef.h>

/* Where the libtorch module is that this program loads: ALAB_TORCH_MODULE, else libalab_torch.so beside the executable,
 * one folder up, or in ../lib/alab. "" where there is none. */
void al_torch_module_path(char *path, size_t size);

/* XXH3-128 in hex of the running executable and of its libtorch module: same bytes, same results on one kind of
 * processor. Computed once a process. */
al_status al_build_id(char hex[33]) AL_MUST_USE;

/* The processor's model name, "unknown" where the system does not tell. */
void al_cpu_name(char *name, size_t size);

/* The processor's model name and the kernels that OpenBLAS chose for it. */
void al_cpu_kind(char *kind, size_t size);

/* The models of the GPUs that NVIDIA's driver lists in `folder` (NULL: its own), each once, "unknown" without any; of
 * several models also which of them CUDA_VISIBLE_DEVICES leaves. Read from files: CUDA is not initialised, so that the
 * process may still fork. */
void al_gpu_kind(char *kind, size_t size, const char *folder);

#endif
