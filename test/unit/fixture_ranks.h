/* fixture_ranks: ranks that are threads of this process: messages are copied from one's memory to the other's when both
 * are there. What src/mpi does between processes. */
#ifndef FIXTURE_RANKS_H
#define FIXTURE_RANKS_H

#include <pthread.h>

#include "fixture_training.h"
#include "train/ranks.h"

enum { RANKS_MOST = 5 };

struct rank_hub {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct rank_transfer *waiting;     /* in the order in which they were begun */
	int size;
	int gone;                          /* the rank that is said to be so, −1 */
	struct ranks ranks[RANKS_MOST];
};

void hub_init(struct rank_hub *h, int size);
void hub_release(struct rank_hub *h);
/* From now on no message arrives: every wait fails with a sentence that names the rank. */
void hub_lose(struct rank_hub *h, int rank);

/* Runs body(ctx, &ranks of the thread) in a thread of each rank until all have returned. */
void hub_run(struct rank_hub *h, void (*body)(void *ctx, struct ranks *r), void *ctx);

/* A job that ranks train together: rank 0 leads, with lead or NULL: all of the job's steps; hex: the weights of each in
 * the end, or err. tells: what the others say they took, or NULL. */
struct crew {
	const struct job *job;
	int (*lead)(void *ctx, struct trainer *t, struct err *e);
	void (*tells)(char out[RANKS_TEXT]);
	void *ctx;
	struct rank_hub hub;
	char hex[RANKS_MOST][33];
	struct err err[RANKS_MOST];
};

void crew_run(struct crew *c, int size);
/* All ranks end with these weights. */
void crew_check(struct test *t, const char *model, const char *data, const char *assignments, int size,
                const char *weights);

#endif
