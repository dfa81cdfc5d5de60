/* gas_scale: what `gas scale` counts more of, a row for each (gas_scale_ways.c), and what a pass of so many takes. How
 * costs are shown: cmd_gas_scale.c. */
#ifndef CMD_GAS_SCALE_H
#define CMD_GAS_SCALE_H

#include "train/bench_passes.h"
#include "cmd/model_common.h"

#define SCALE_WAYS "streams|batch|adapters"

struct scale_way;

struct scale_options {
	struct common common;
	const char *over, *at, *compute, *out;
	int64_t decode, repetitions, max_length, lora_r;
	struct cache_options cache;
};

struct scale_work {
	struct app *app;
	const struct scale_options *o;
	const struct scale_way *way;
	const char *path;
	struct loaded l;               /* where the way decodes */
};

struct scale_way {
	const char *name, *axis;       /* as in --over; what its numbers are of */
	const char *at;                /* numbers that are usual, as --at has them */
	int most;
	bool trains, has_adapters;     /* trains: steps of a trainer, no decoding */
	/* NULL, or what is wrong with a number. */
	const char *(*wrong)(const struct scale_options *o, int q);
	/* Seconds that a pass and its opening will take, repetitions and all; bytes: of the process where it trains,
	 * else what comes to the model. */
	int (*plan)(struct scale_work *w, int q, double *seconds, double *bytes, struct err *e);
	int (*pass)(struct scale_work *w, int q, struct bench_result *r, struct err *e);
	/* What was done, for eyes: "64 tokens in each stream". */
	void (*describe)(const struct scale_work *w, char *out, size_t size);
};

const struct scale_way *scale_way_of(const char *name);

#endif
