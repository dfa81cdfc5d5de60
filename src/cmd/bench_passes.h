/* bench_passes: the three things that `kungfu bench` times with a model. Each makes a pass once to warm up, then `repetitions` times. */
#ifndef CMD_BENCH_PASSES_H
#define CMD_BENCH_PASSES_H

#include "cmd/command.h"
#include "infer/session.h"

enum { REPETITIONS_MAX = 1000 };

struct pass_result {
	int64_t tokens;                    /* of one pass */
	int n;
	double seconds[REPETITIONS_MAX];   /* of each repetition, sorted */
	double flops, int_ops, bytes;      /* of one pass, as the tape counts them: in f32, in int8; bytes 0 where the weights are not what binds */
};

/* One prompt of n tokens into an empty context, the head for the last. */
int pass_prefill(struct app *app, struct model *m, int n, struct cache_types cache, int repetitions, struct pass_result *out, struct err *e);
/* n single tokens from an empty context, in each of so many sequences beside each other. */
int pass_decode(struct app *app, struct model *m, int n, int streams, struct cache_types cache, int repetitions, struct pass_result *out, struct err *e);
/* Training steps of two documents of 512 tokens (or of what the model's context holds). method: lora, full */
int pass_train(struct app *app, const char *model, int n_ctx, const char *method, const char *compute, int repetitions, struct pass_result *out, struct err *e);

/* Tokens a second: the median, the slowest and the fastest repetition. */
void pass_rates(const struct pass_result *r, double *median, double *low, double *high);

#endif
