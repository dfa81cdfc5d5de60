/* bench_passes: the three things that `kungfu bench` times with a model. Each makes a pass once to warm up, then
 * `repetitions` times. */
#ifndef TRAIN_BENCH_PASSES_H
#define TRAIN_BENCH_PASSES_H

#include "gas/meter.h"
#include "infer/session.h"
#include "train/trainer.h"

enum { REPETITIONS_MAX = 1000 };

/* Who watches the repetitions, the first pass left out: what they took is theirs to measure, and so is when to stop. */
struct bench_watch {
	void (*begin)(void *ctx);
	void (*end)(void *ctx, struct gas *gas);
	bool (*stop)(void);                /* NULL: never */
	void *ctx;
};

struct bench_result {
	int64_t tokens;                    /* of one pass */
	int n;
	double seconds[REPETITIONS_MAX];   /* of each repetition, sorted */
	/* of one pass, as the tape counts them: in f32, in int8; bytes 0 where the weights are not what binds */
	double flops, int_ops, bytes;
	struct gas gas;                    /* of all repetitions together, the first pass left out */
	size_t planned_bytes;              /* of training: the process by its plan */
	size_t used_bytes;                 /* the process as it was after the repetitions, everything open */
};

struct bench_inference {
	int n, streams;                    /* tokens; in each of so many sequences beside each other */
	int depth;                         /* into a context that holds so many tokens, which all sequences share */
	struct cache_types cache;
	const struct overlay *overlay;     /* or NULL; where it is several, the k-th sequence has its k-th */
};
/* One prompt, the head for its last token; streams: 1. */
int bench_prefill(struct device *d, const struct bench_watch *w, struct model *m, const struct bench_inference *what,
                  int repetitions, struct bench_result *out, struct err *e);
/* Single tokens. */
int bench_decode(struct device *d, const struct bench_watch *w, struct model *m, const struct bench_inference *what,
                 int repetitions, struct bench_result *out, struct err *e);

/* Steps of one micro-batch each: so many documents of so many tokens. */
enum { TRAIN_LENGTH = 512, TRAIN_DOCUMENTS = 2 };    /* what is usual */
struct bench_training { const char *model, *method /* lora, full */, *compute; int length, documents; };
int bench_train(struct device *d, const struct bench_watch *w, const struct bench_training *what, int repetitions,
                struct bench_result *out, struct err *e);
/* Its dry run alone. */
int bench_train_plan(struct device *d, const struct bench_training *what, struct trainer_plan *out, struct err *e);
/* Also dry: the most documents, up to what->documents, of which a micro-batch would need at most `memory` bytes,
 * everything recomputed that can be; 0: none. */
int bench_train_largest(struct device *d, const struct bench_training *what, size_t memory, int *documents,
                        struct err *e);

/* Tokens a second: the median, the slowest and the fastest repetition. */
void bench_rates(const struct bench_result *r, double *median, double *low, double *high);

#endif
