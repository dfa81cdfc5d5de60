/* profile: how fast this machine is, measured by `kungfu bench` and kept, so that a plan can say how long something
 * takes and a profile what share of the possible was reached.
 *
 * The file, usually ${XDG_STATE_HOME:-~/.local/state}/kungfu/machine.json, is {"profiles": [{…}, …]}: one entry for
 * each (processor, instruction set, threads); the keys of an entry are the fields below, ops as "op_shares":
 * {"attention": 0.4, …}. A rate of 0 was not measured. */
#ifndef GAS_PROFILE_H
#define GAS_PROFILE_H

#include <jansson.h>

#include "base/pool.h"
#include "kernel/kernels.h"
#include "kernel/machine_speeds.h"

struct profile {
	char processor[96];       /* as the system names it */
	char isa[16];             /* of the kernels: "avx512" */
	int threads;
	/* operations/s (a multiply-add is two) of the best f32 product that our kernels reach */
	double sgemm_flops;
	double int8_ops;          /* the same of int8 products on a quantized weight; 0 where there are none */
	/* bytes/s that all threads together read from memory, far more than any cache holds */
	double read_bytes;
	double copy_bytes;        /* the same, read and written bytes both counted */
	double barrier_seconds;   /* handing a job to all threads and having it back */
	char date[32];            /* of the measurement, UTC */
	/* of each kind of op; measured by who can run ops (op/roofline.h), none in older files */
	struct op_share op[SPEEDS_OPS];
	int n_ops;
};

/* The processor's name as the system tells it, "unknown" else; mem_free. */
char *profile_processor(void);
/* Where it is kept by default; NULL when neither XDG_STATE_HOME nor HOME is set. mem_free. */
char *profile_path(void);

/* The entry of this processor with this instruction set and number of threads. 0: found; 1: there is none (or no file),
 * *p is zero; -1: the file is no profile. */
int profile_load(struct profile *p, const char *path, const char *processor, const char *isa, int threads,
                 struct err *e);
/* Adds the entry or replaces the one of its key; folders are made. A damaged file is replaced. */
int profile_store(const struct profile *p, const char *path, struct err *e);
json_t *profile_json(const struct profile *p);
/* As a plan wants them. */
struct speeds profile_speeds(const struct profile *p);

/* Measures for about two seconds on an otherwise idle machine: the best of several repetitions, because whatever else
 * runs can only slow it down. Takes at most 512 MB, given back. */
int profile_measure(struct profile *p, const struct kernels *k, struct pool *pool, struct err *e);

#endif
